"""The constant learning rate, after a warm-up if there is one."""

from torch import Tensor
from typing_extensions import override

from rnnbench.optim.schedules.base import Schedule


class Constant(Schedule):
    """The factor 1 after the warm-up."""

    @override
    def decay(self, update: Tensor) -> Tensor:
        return update.new_ones(update.shape)
