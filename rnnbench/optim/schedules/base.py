"""Base class of the schedules of the learning rate.

Letters: R replicas. Each key of a schedule may differ between replicas: a float64 tensor, (R, 1).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.optim.per_replica import PerReplica


@dataclass(frozen=True, eq=False, kw_only=True)
class Schedule(PerReplica, ABC):
    """Factor of the learning rate at each update: a linear warm-up, then a decay.

    Of `warmup` updates the k-th, counted from 1, has the factor k / warmup, as torch's LinearLR from 1 / warmup to 1.
    The decay starts after them, as in torch's SequentialLR.

    Attributes:
        warmup: (R, 1), number of updates of the warm-up; 0: none.
    """

    warmup: Tensor

    @abstractmethod
    def decay(self, update: Tensor) -> Tensor:
        """The factor after the warm-up, (R, 1), float64.

        Args:
            update: (R, 1), float64, index of the update, counted from the end of the warm-up; 0 during the warm-up.
        """

    def factor(self, update: int | Tensor) -> Tensor:
        """The factor of the learning rate, (R, 1), float64.

        Args:
            update: Index of the update, from 0; an int, or a scalar int64 tensor on the device of the schedule.
        """
        index = self.warmup.new_zeros(()) + update  # so that an int and a tensor give the same bits
        warming = (index + 1) / self.warmup.clamp(min=1)
        return torch.where(warming <= 1, warming, self.decay((index - self.warmup).clamp(min=0)))
