"""The damping of Hessian-free: how it follows the reduction ratio, and the diagonal that it scales.

Letters: R replicas, P parameters of one replica.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LARGEST_RATIO = 1e6
"""Reduction ratios are cut off here, so that a quotient by almost nothing stays a finite number in the records."""

LARGEST_CHANGE = 1e30
"""Stands for the change of a loss that is not finite."""

SCALE_LIMITS = (0.01, 100.0)
"""Of the damping of a parameter against the mean, where it is scaled by the size of the weights."""


@dataclass(frozen=True)
class DampingRule:
    """Levenberg and Marquardt's rule: more damping where the quadratic model promised too much, less where it held.

    Attributes:
        low_ratio, high_ratio: (R, 1), reduction ratios below and above which the damping changes.
        increase, decrease: (R, 1), its factors there.
        lowest, highest: (R, 1), its limits.

    Source: Martens (2010), ICML, section 4.1.
    """

    low_ratio: Tensor
    high_ratio: Tensor
    increase: Tensor
    decrease: Tensor
    lowest: Tensor
    highest: Tensor

    def __call__(self, damping: Tensor, ratio: Tensor, unknown: Tensor, raised: Tensor) -> Tensor:
        """The damping of the next update, (R, 1).

        Args:
            damping: Of this update, (R, 1).
            ratio: (R,).
            unknown: Where the ratio says nothing, (R,), bool: the damping stays.
            raised: Where it rises whatever the ratio says, (R,), bool.
        """
        low = ((ratio.unsqueeze(1) < self.low_ratio) & ~unknown.unsqueeze(1)) | raised.unsqueeze(1)
        high = (ratio.unsqueeze(1) > self.high_ratio) & ~unknown.unsqueeze(1)
        factor = torch.where(high, self.decrease, 1.0)
        factor = torch.where(low, self.increase, factor)
        return torch.clamp(damping * factor, self.lowest, self.highest)


def reduction_ratio(actual: Tensor, predicted: Tensor) -> Tensor:
    """Actual over predicted change of the loss, (R,), always finite.

    Where no fall is predicted the model has failed, whatever the loss does: the ratio is then at most 0.
    """
    ratio = torch.where(predicted < 0, actual / predicted, -actual.abs())
    return ratio.nan_to_num(nan=-LARGEST_RATIO).clamp(-LARGEST_RATIO, LARGEST_RATIO)


def finite_change(change: Tensor) -> Tensor:
    """A change of the loss, (R,), with a large rise in place of one that is not finite."""
    return torch.where(change.isfinite(), change, LARGEST_CHANGE)


def weight_scales(theta: Tensor, sizes: Sequence[int]) -> Tensor:
    """The mean square of all parameters over that of a parameter's own group, (R, P), float64, within `SCALE_LIMITS`.

    Damping times this holds back relative changes: a group of small weights is damped more than one of large weights.
    The papers name no formula for such a scaling; this is the simplest that leaves the damping's meaning where all
    groups are alike.

    Args:
        theta: (R, P).
        sizes: Of the groups (the model's named parameters), in their order; they add up to P.
    """
    square = theta.double().square()
    means = torch.stack([group.mean(1) for group in torch.split(square, list(sizes), dim=1)], dim=1)  # (R, groups)
    scales = (square.mean(1, keepdim=True) / means).nan_to_num(nan=1.0).clamp(*SCALE_LIMITS)
    return scales.repeat_interleave(torch.tensor(sizes, device=theta.device), dim=1)
