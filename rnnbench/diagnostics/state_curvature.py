"""Second derivatives of a sequence's loss with respect to what acts at one step alone, at every step.

a_t = W h_{t-1} + what the inputs bring, h_t = f(a_t), and a loss L of the last state h_T. With D_t = diag f'(a_t),

    d^2L/da_t^2 = D_t (d^2L/dh_t^2) D_t + diag(dL/dh_t * f''(a_t)),    d^2L/dh_{t-1}^2 = W^T (d^2L/da_t^2) W:

the second derivative goes backward through time as the gradient does, with the Jacobian on both sides of it, and every
step brings in its own bend. Without the bends these are the Gauss-Newton matrices.

Letters: R replicas, T steps, b sequences, n units.
"""

from collections.abc import Iterator

import torch
from torch import Tensor


def preactivation_hessians(weight: Tensor, slopes: Tensor, bends: Tensor | None, last: Tensor) -> Iterator[Tensor]:
    """d^2L/da_t^2 of each sequence's own loss L, step by step backward from t = T to t = 1.

    Args:
        weight: W, (R, n, n).
        slopes: f'(a_t) for t = 1 .. T, (T, R, b, n).
        bends: dL/dh_t * f''(a_t) for t = 1 .. T, (T, R, b, n); None: the Gauss-Newton matrices are wanted.
        last: d^2L/dh_T^2, (R, b, n, n).

    Yields:
        (R, b, n, n), a new tensor each.

    Cost: two products of n x n for each step and sequence.
    """
    hessian, right = last, weight.unsqueeze(1)
    for step in reversed(range(len(slopes))):
        slope = slopes[step]
        inner = slope.unsqueeze(-1) * hessian * slope.unsqueeze(-2)
        if bends is not None:
            inner = inner + torch.diag_embed(bends[step])
        yield inner
        hessian = through_weight(inner, right)


def through_weight(inner: Tensor, weight: Tensor) -> Tensor:
    """d^2L/dh_{t-1}^2 = W^T (d^2L/da_t^2) W, both (..., n, n)."""
    return weight.mT @ inner @ weight
