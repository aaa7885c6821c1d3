"""Diverged replicas, whose loss or parameters are no longer finite: their last finite state is kept.

Letters: k active replicas of a run, P parameters of one replica.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from rnnbench.optim.base import State, Update


class Divergence:
    """Freezes each diverged replica in its last finite state, and records at which update it diverged.

    On a CPU each update is checked at once. On a GPU a check on the host would wait for the device. There the device
    freezes diverged replicas, and the host reads which replicas diverged only in `diverged_at`.

    Attributes:
        since: Number (from 1) of the update at which each active replica diverged; 0: it has not. (k,), int64.
    """

    def __init__(self, num_replicas: int, device: torch.device, *, is_late: bool) -> None:
        """Start without diverged replicas.

        Args:
            num_replicas: Number of active replicas, k.
            device: Device of the parameters.
            is_late: Whether the host reads the result only in `diverged_at`.
        """
        self.since = torch.zeros(num_replicas, dtype=torch.int64, device=device)
        self._is_late, self._may_be_new = is_late, False

    def freeze(self, theta: Tensor, state: State, update: Update, number: int) -> tuple[Tensor, State, Tensor]:
        """Return parameters, optimizer state and `since` after an update; `commit` stores the latter.

        Args:
            theta: Parameters before the update, (k, P).
            state: Optimizer state before the update.
            update: The update.
            number: Number of the update, from 1.
        """
        if not self._is_late and bool(update.is_finite().all()):
            return update.theta, update.state, self.since
        return freeze_diverged(theta, state, self.since, update, number)

    def commit(self, since: Tensor) -> None:
        """Store the `since`, (k,), int64, that `freeze` returned for a committed update."""
        self._may_be_new |= since is not self.since
        self.since = since

    def diverged_at(self) -> Mapping[int, int]:
        """Return the active replicas that have diverged, row -> number of the update; this waits for the device."""
        if not self._may_be_new:
            return {}
        self._may_be_new = False
        return {row: number for row, number in enumerate(self.since.tolist()) if number}

    def select(self, rows: Tensor) -> None:
        """Keep only the given rows, int64, of the active replicas."""
        self.since = self.since[rows]


def freeze_diverged(
    theta: Tensor, state: State, since: Tensor, update: Update, number: int | Tensor
) -> tuple[Tensor, State, Tensor]:
    """Compute parameters, optimizer state and `Divergence.since` after an update; no value is read from the device.

    A diverged replica keeps the parameters and state from before it diverged.

    Args:
        theta: Parameters before the update, (k, P).
        state: Optimizer state before the update.
        since: `Divergence.since` before the update, (k,), int64.
        update: The update.
        number: Number of the update, from 1: an int, or a tensor on theta's device.
    """
    since = torch.where(update.is_finite() | (since != 0), since, number)
    is_finite = since == 0

    def choose(after: Tensor, before: Tensor) -> Tensor:
        return torch.where(is_finite.view(-1, *[1] * (after.dim() - 1)), after, before)

    return (
        choose(update.theta, theta),
        {name: choose(after, state[name]) for name, after in update.state.items()},
        since,
    )
