"""The damping of Hessian-free optimization and its adaptation to the reduction ratio.

Letters: R replicas.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

LARGEST_RATIO = 1e6
"""Bound on the absolute value of reduction ratios, so that they stay finite in the records."""

LARGEST_CHANGE = 1e30
"""Used as the change of a loss that is not finite."""


@dataclass(frozen=True)
class DampingRule:
    """The Levenberg-Marquardt rule: more damping if the quadratic model was too optimistic, less if it was accurate.

    Attributes:
        low_ratio, high_ratio: Reduction ratios below and above which the damping changes.
        increase, decrease: Factors of the damping in these cases.
        lowest, highest: Limits of the damping.

    Source: Martens (2010), ICML, section 4.1.
    """

    low_ratio: float = 0.25
    high_ratio: float = 0.75
    increase: float = 1.5
    decrease: float = 2 / 3
    lowest: float = 1e-8
    highest: float = 1e8

    def __call__(self, damping: Tensor, ratio: Tensor, unknown: Tensor, raised: Tensor) -> Tensor:
        """The damping of the next update, (R, 1).

        Args:
            damping: Damping of this update, (R, 1).
            ratio: Reduction ratio of this update, (R,).
            unknown: Replicas whose ratio is meaningless, (R,), bool; their damping stays.
            raised: Replicas whose damping increases regardless of the ratio, (R,), bool.
        """
        low = ((ratio.unsqueeze(1) < self.low_ratio) & ~unknown.unsqueeze(1)) | raised.unsqueeze(1)
        high = (ratio.unsqueeze(1) > self.high_ratio) & ~unknown.unsqueeze(1)
        factor = torch.where(high, self.decrease, 1.0)
        factor = torch.where(low, self.increase, factor)
        return torch.clamp(damping * factor, self.lowest, self.highest)


def reduction_ratio(actual: Tensor, predicted: Tensor) -> Tensor:
    """Actual over predicted change of the loss, (R,), always finite.

    If no decrease is predicted, the model has failed and the ratio is at most 0.
    """
    ratio = torch.where(predicted < 0, actual / predicted, -actual.abs())
    return ratio.nan_to_num(nan=-LARGEST_RATIO).clamp(-LARGEST_RATIO, LARGEST_RATIO)


def finite_change(change: Tensor) -> Tensor:
    """A change of the loss, (R,), with `LARGEST_CHANGE` in place of values that are not finite."""
    return torch.where(change.isfinite(), change, LARGEST_CHANGE)
