"""Second derivatives of a sequence's loss with respect to the preactivations of each step.

Let a_t = W h_{t-1} + b_t with b_t from the inputs, h_t = f(a_t), and L a loss of the last state h_T. With
D_t = diag f'(a_t),

    d^2L/da_t^2 = D_t (d^2L/dh_t^2) D_t + diag(dL/dh_t * f''(a_t)),    d^2L/dh_{t-1}^2 = W^T (d^2L/da_t^2) W.

The second derivative propagates backward through time like the gradient, but with the Jacobian on both sides, and each
step adds a term with f''. Without these terms the result is the Gauss-Newton matrix.

Letters: R replicas, T steps, b sequences, n units.
"""

from collections.abc import Iterator

import torch
from torch import Tensor


def preactivation_hessians(
    weight: Tensor, slopes: Tensor, second_order: Tensor | None, last: Tensor
) -> Iterator[Tensor]:
    """Yield d^2L/da_t^2 of the loss L of each sequence, backward from t = T to t = 1.

    Args:
        weight: W, (R, n, n).
        slopes: f'(a_t) for t = 1 .. T, (T, R, b, n).
        second_order: dL/dh_t * f''(a_t) for t = 1 .. T, (T, R, b, n); None: yield Gauss-Newton matrices.
        last: d^2L/dh_T^2, (R, b, n, n).

    Yields:
        New tensors (R, b, n, n).

    Cost: two products of n x n for each step and sequence.
    """
    hessian, right = last, weight.unsqueeze(1)
    for step in reversed(range(len(slopes))):
        slope = slopes[step]
        inner = slope.unsqueeze(-1) * hessian * slope.unsqueeze(-2)
        if second_order is not None:
            inner = inner + torch.diag_embed(second_order[step])
        yield inner
        hessian = through_weight(inner, right)


def through_weight(inner: Tensor, weight: Tensor) -> Tensor:
    """Return d^2L/dh_{t-1}^2 = W^T (d^2L/da_t^2) W, both (..., n, n)."""
    return weight.mT @ inner @ weight
