"""The damping of Hessian-free optimization: its adaptation to the reduction ratio, and its scaling per parameter.

Letters: R replicas, P parameters of one replica.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LARGEST_RATIO = 1e6
"""Bound on the absolute value of reduction ratios, so that they stay finite in the records."""

LARGEST_CHANGE = 1e30
"""Used as the change of a loss that is not finite."""

SCALE_LIMITS = (0.01, 100.0)
"""Limits of the damping of a parameter relative to the mean, if it is scaled by the size of the weights."""


@dataclass(frozen=True)
class DampingRule:
    """The Levenberg-Marquardt rule: more damping if the quadratic model was too optimistic, less if it was accurate.

    Attributes:
        low_ratio, high_ratio: (R, 1), reduction ratios below and above which the damping changes.
        increase, decrease: (R, 1), factors of the damping in these cases.
        lowest, highest: (R, 1), limits of the damping.

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


def weight_scales(theta: Tensor, sizes: Sequence[int]) -> Tensor:
    """The mean square of all parameters over that of a parameter's own group, (R, P), float64, within `SCALE_LIMITS`.

    Multiplied by this, the damping penalizes relative changes: groups of small weights are damped more. The papers give
    no formula for such a scaling; this is the simplest one that equals 1 if all groups have the same mean square.

    Args:
        theta: (R, P).
        sizes: Number of elements of each group (named parameter of the model), in their order; they sum to P.
    """
    square = theta.double().square()
    means = torch.stack([group.mean(1) for group in torch.split(square, list(sizes), dim=1)], dim=1)  # (R, groups)
    scales = (square.mean(1, keepdim=True) / means).nan_to_num(nan=1.0).clamp(*SCALE_LIMITS)
    return scales.repeat_interleave(torch.tensor(sizes, device=theta.device), dim=1)
