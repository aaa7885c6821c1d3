"""Interface between the training loop and the object that records its metric rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from torch import Tensor

from rnnbench.probes.base import View
from rnnbench.records.summary import Status


class RowRecorder(Protocol):
    """Receives the rows of metrics; in a run it is `rnnbench.training.observation.Observer`.

    Attributes:
        num_logged: Number of logged rows that follow an update.
    """

    num_logged: int

    def observe(
        self,
        update: int,
        replicas: Sequence[int],
        values: Mapping[str, Tensor],
        make_view: Callable[[int], View] | None,
    ) -> None:
        """Record one row for each of the given replicas; see `Observer.observe`."""

    def settle(self, update: int, statuses: Sequence[Status], solved: Sequence[bool]) -> None:
        """Record the status of all replicas, after an update that has a row or in which a replica ended."""

    def broken(self) -> dict[int, str]:
        """Replicas whose records could not be written, with the error; each is returned once."""
        ...
