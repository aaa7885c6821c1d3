"""The decay with the inverse square root of the number of updates."""

from torch import Tensor
from typing_extensions import override

from rnnbench.optim.schedules.base import Schedule


class InverseSqrt(Schedule):
    """The factor sqrt(warmup / k) at update k >= warmup, counted from 1.

    Source: Vaswani et al. (2017), NeurIPS, equation 3, apart from its scale.
    """

    @override
    def decay(self, update: Tensor) -> Tensor:
        return (self.warmup / (self.warmup + update + 1)).sqrt()
