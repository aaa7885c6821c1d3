"""The Jacobians of a trajectory's steps, of which only a few are in memory at a time."""

from collections.abc import Callable

import torch
from torch import Tensor

BYTES_AT_ONCE = 2**25
"""Maximum memory for Jacobians, unless a single step takes more."""


class JacobiansInTurn:
    """Sequence of the Jacobians of each step, (..., s, s) each, computed in chunks of some steps when they are read.

    Args:
        num_steps: Number of steps.
        bytes_per_step: Memory of the Jacobians of one step.
        compute: Function from a slice of the steps to their Jacobians, (steps, ..., s, s).
    """

    def __init__(self, num_steps: int, bytes_per_step: int, compute: Callable[[slice], Tensor]) -> None:
        self._num_steps, self._compute = num_steps, compute
        self._at_once = max(1, BYTES_AT_ONCE // bytes_per_step)
        self._steps, self._jacobians = range(0), torch.empty(0)

    def __len__(self) -> int:
        """Number of steps."""
        return self._num_steps

    def __getitem__(self, step: int, /) -> Tensor:
        """Return the Jacobian of a step; the index is that of a list, negative ones count from the end.

        Raises:
            IndexError: There is no such step.
        """
        step = range(self._num_steps)[step]
        if step not in self._steps:
            start = step - step % self._at_once
            self._steps = range(start, min(start + self._at_once, self._num_steps))
            self._jacobians = torch.empty(0)  # free the previous ones first
            self._jacobians = self._compute(slice(start, self._steps.stop))
        return self._jacobians[step - self._steps.start]
