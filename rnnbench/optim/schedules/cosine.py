"""The cosine decay."""

import math
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from rnnbench.optim.schedules.base import Schedule


@dataclass(frozen=True, eq=False, kw_only=True)
class Cosine(Schedule):
    """Half a period of a cosine, from 1 to `final`, which then stays; as torch.optim.lr_scheduler.CosineAnnealingLR.

    Attributes:
        length: (R, 1), number of updates until the factor is `final`, those of the warm-up included.
        final: (R, 1), the last factor.

    Source: Loshchilov and Hutter (2017), ICLR, equation 5.
    """

    length: Tensor
    final: Tensor

    @override
    def decay(self, update: Tensor) -> Tensor:
        share = (update / (self.length - self.warmup)).clamp(max=1)
        return self.final + (1 - self.final) * (1 + (math.pi * share).cos()) / 2
