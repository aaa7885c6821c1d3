"""The decay in steps."""

from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from rnnbench.optim.schedules.base import Schedule


@dataclass(frozen=True, eq=False, kw_only=True)
class StepDecay(Schedule):
    """A factor gamma after every `step_size` updates, as torch.optim.lr_scheduler.StepLR.

    Attributes:
        step_size: (R, 1), number of updates between two decreases.
        gamma: (R, 1), factor of a decrease.
    """

    step_size: Tensor
    gamma: Tensor

    @override
    def decay(self, update: Tensor) -> Tensor:
        return self.gamma ** (update / self.step_size).floor()
