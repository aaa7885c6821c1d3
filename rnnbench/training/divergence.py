"""Replicas whose loss or parameters are not finite any more: kept as they were before, and found out.

Letters: k active replicas of a run, P parameters of one replica.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rnnbench.optim.base import State, Update


class Divergence:
    """Keeps each replica that diverges as it was before that update, and knows which update that was.

    On a CPU an update that diverges is seen at once. A device would have to be waited for: there it is decided by the
    device itself, and a replica that has diverged stays as it is, however many updates follow, until somebody asks.

    Attributes:
        since: For each active replica the update, counted from 1, that made it diverge; 0: none did. (k,), int64.
    """

    def __init__(self, num_replicas: int, device: torch.device, *, is_late: bool) -> None:
        """None has diverged.

        Args:
            num_replicas: k.
            device: Of their parameters.
            is_late: Whether the device is left alone until somebody asks.
        """
        self.since = torch.zeros(num_replicas, dtype=torch.int64, device=device)
        self._is_late, self._may_be_new = is_late, False

    def hold(self, theta: Tensor, state: State, update: Update, number: int) -> tuple[Tensor, State, Tensor]:
        """Parameters, state and `since` after an update; `take` is what makes the last of them known here.

        Args:
            theta: Before the update, (k, P).
            state: Before the update.
            update: What was made of them.
            number: Of the update, from 1.
        """
        if not self._is_late and bool(update.is_finite().all()):
            return update.theta, update.state, self.since
        return held(theta, state, self.since, update, number)

    def take(self, since: Tensor) -> None:
        """Take over `since`, (k,), int64, from an update that counts."""
        self._may_be_new |= since is not self.since
        self.since = since

    def found(self) -> Mapping[int, int]:
        """The active replicas that have diverged, by row, and at which update; a device is waited for."""
        if not self._may_be_new:
            return {}
        self._may_be_new = False
        return {row: number for row, number in enumerate(self.since.tolist()) if number}

    def keep(self, rows: Tensor) -> None:
        """Go on with some of the active replicas, by their rows, int64."""
        self.since = self.since[rows]


def held(
    theta: Tensor, state: State, since: Tensor, update: Update, number: int | Tensor
) -> tuple[Tensor, State, Tensor]:
    """Parameters, state and `Divergence.since` after an update, without reading any number.

    Parameters and state of a replica that has diverged are those before it did.

    Args:
        theta: Before the update, (k, P).
        state: Before the update.
        since: Before the update, (k,), int64.
        update: What was made of them.
        number: Of the update, from 1: an int, or a tensor on theta's device.
    """
    since = torch.where(update.is_finite() | (since != 0), since, number)
    goes_on = since == 0

    def choose(after: Tensor, before: Tensor) -> Tensor:
        return torch.where(goes_on.view(-1, *[1] * (after.dim() - 1)), after, before)

    return (
        choose(update.theta, theta),
        {name: choose(after, state[name]) for name, after in update.state.items()},
        since,
    )
