"""Products of state-transition Jacobians, dh_T/dh_t = J_T J_{T-1} ... J_{t+1}, at every lag T - t, in logarithms.

Nothing underflows: products are rescaled at each step, and their scale is stored as a logarithm. Memory does not grow
with the lag.

Letters: T steps, n the size of the state, J_t = dh_t/dh_{t-1}; "..." stands for any leading axes. Lists of Jacobians
are in the order of the steps: jacobians[t - 1] is J_t.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.diagnostics.graded_svd import log_singular_values_of_rows, times_scaled_rows
from rnnbench.diagnostics.jacobians import Matrices
from rnnbench.linear_algebra import frobenius_norm, qr, spectral_norm


@dataclass(frozen=True)
class ProductNorms:
    """Norms of the products at some lags; the first axis is the lag, and the product at lag 0 is the identity.

    Attributes:
        lags: The K lags, ascending.
        log_spectral: ln of the largest singular value, (K, ...).
        log_frobenius: ln of the Frobenius norm, (K, ...).
        stable_rank: ||product||_F^2 / ||product||_2^2, from 1 to n, (K, ...): the approximate number of directions in
            which the product is as large as in its largest. NaN for a zero product.
    """

    lags: Sequence[int]

    log_spectral: Tensor
    log_frobenius: Tensor
    stable_rank: Tensor


def product_norms(jacobians: Matrices, lags: Sequence[int] | None = None) -> ProductNorms:
    """Compute norms of dh_T/dh_t at lags T - t.

    Args:
        jacobians: T matrices (..., n, n), or one tensor (T, ..., n, n).
        lags: Lags T - t to compute, from 0 to T, in ascending order; None: all of them.

    Returns:
        Norms in float64. The logarithm of a zero product, as saturated units give it, is -inf.

    Raises:
        ValueError: The lags are not ascending numbers from 0 to T.

    Cost: for each step up to the largest lag one product, and for each lag one singular value decomposition of n x n.
    """
    lags = range(len(jacobians) + 1) if lags is None else lags
    _check_lags(lags, len(jacobians))
    product = _identity_like(jacobians[0])
    logarithm = torch.zeros(product.shape[:-2], dtype=product.dtype, device=product.device)
    norms: list[tuple[Tensor, Tensor, Tensor]] = []
    for lag in range(lags[-1] + 1):
        if lag > 0:
            product = product @ jacobians[-lag].double()
        frobenius = frobenius_norm(product)
        if lag in lags:
            spectral = spectral_norm(product)
            norms.append((logarithm + spectral.log(), logarithm + frobenius.log(), (frobenius / spectral).square()))
        logarithm = logarithm + frobenius.log()
        product = product / torch.where(frobenius > 0, frobenius, 1.0)[..., None, None]
    return ProductNorms(lags, *(torch.stack(values) for values in zip(*norms, strict=True)))


def log_singular_values(jacobians: Matrices, lags: Sequence[int]) -> Tensor:
    """Compute the logarithms of all singular values of dh_T/dh_t, also of those far below the largest.

    The ratio of singular values of a product of many Jacobians can exceed the range of floating-point numbers. The
    product is therefore stored as Q_k R with R = D U, by a QR decomposition at each step; the scales D are stored as
    logarithms, and the rows of U have norm 1. A one-sided Jacobi iteration on the rows then gives each singular value
    with a small relative error, which depends on the condition number of a single Jacobian, not of the product.

    Args:
        jacobians: T matrices (..., n, n), or one tensor (T, ..., n, n).
        lags: Lags T - t to compute, from 0 to T, in ascending order.

    Returns:
        (number of lags, ..., n), float64, largest first; -inf for a singular value of 0.

    Raises:
        ValueError: The lags are not ascending numbers from 0 to T.

    Cost: for each step up to the largest lag one QR decomposition and two products; for each lag one iteration, which
    takes as long as a few hundred steps.
    Source: Demmel and Veselic (1992), SIAM Journal on Matrix Analysis and Applications 13, for the relative accuracy.
    """
    _check_lags(lags, len(jacobians))
    rows = _identity_like(jacobians[0])
    size = rows.shape[-1]
    # With a random initial frame the scales become descending, independent of the axes of the Jacobians. With ascending
    # scales, rows of U would be nearly linearly dependent.
    generator = torch.Generator().manual_seed(0)
    frame = qr(torch.randn(size, size, dtype=torch.float64, generator=generator))[0].to(rows.device)
    scales = torch.zeros(rows.shape[:-1], dtype=rows.dtype, device=rows.device)
    factors = []
    for lag in range(lags[-1] + 1):
        if lag > 0:
            frame, triangle = qr(jacobians[-lag].double().mT @ frame)
            scales, rows = times_scaled_rows(triangle, scales, rows)
        if lag in lags:
            factors.append((scales, rows))
    stacked = (torch.stack(parts) for parts in zip(*factors, strict=True))
    return log_singular_values_of_rows(*stacked)


def _check_lags(lags: Sequence[int], num_steps: int) -> None:
    ascending = list(lags)
    if ascending != sorted(set(ascending)) or not ascending or ascending[0] < 0 or ascending[-1] > num_steps:
        raise ValueError(f"lags must be ascending numbers from 0 to {num_steps}, got {ascending}")


def _identity_like(matrix: Tensor) -> Tensor:
    return torch.eye(matrix.shape[-1], dtype=torch.float64, device=matrix.device).expand(matrix.shape)
