"""Whom the training loop tells of what it does."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from rnnbench.optim.base import Update
from rnnbench.probes.base import View
from rnnbench.records.summary import Status

if TYPE_CHECKING:
    from rnnbench.training.loop import Training


class Recorder(Protocol):
    """Who is given the rows of metrics: `rnnbench.training.observation.Observer`."""

    num_logged: int

    def observe(
        self,
        update: int,
        replicas: Sequence[int],
        values: Mapping[str, Tensor],
        make_view: Callable[[int], View] | None,
    ) -> None:
        """A row for each of some replicas."""

    def settle(self, update: int, statuses: Sequence[Status], solved: Sequence[bool]) -> None:
        """How all replicas stand after an update whose row has been given, or when one has ended."""

    def broken(self) -> dict[int, str]:
        """Replicas whose records could not be written, and what happened; each is told once."""
        ...


class Audience(Protocol):
    """Who is told how the run goes."""

    def show(self, training: "Training", update: Update | None) -> None:
        """After each update, and once before the first."""

    def message(self, text: str) -> None:
        """Something that a person should know."""

    def ended(self, training: "Training", replicas: Sequence[int]) -> None:
        """Some replicas have ended; they should be saved once the rows up to now are on disk."""

    def checkpoint(self, training: "Training") -> None:
        """The active replicas should be saved once the rows up to now are on disk."""
