"""Products of state-transition Jacobians, dh_T/dh_t = J_T J_{T-1} ... J_{t+1}, at every lag T - t, in logarithms.

Nothing underflows: products are rescaled at each step, and their scale is kept as a logarithm. Memory does not grow
with the lag.

Letters: T steps, n the size of the state, J_t = dh_t/dh_{t-1}, ... any leading axes. Lists of Jacobians are in the
order of the steps: jacobians[t - 1] is J_t.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.diagnostics.graded_svd import log_singular_values_of_rows, times_scaled_rows
from rnnbench.diagnostics.jacobians import Matrices
from rnnbench.linear_algebra import frobenius_norm, qr, spectral_norm


@dataclass(frozen=True)
class ProductNorms:
    """Sizes of the products at each lag; the lag is the index on the first axis, lag 0 being the identity.

    Attributes:
        log_spectral: ln of the largest singular value, (T + 1, ...).
        log_frobenius: ln of the Frobenius norm, (T + 1, ...).
        stable_rank: ||product||_F^2 / ||product||_2^2, from 1 to n, (T + 1, ...): in how many directions the product
            is about as large as in its largest. NaN for a product of zeros.
    """

    log_spectral: Tensor
    log_frobenius: Tensor
    stable_rank: Tensor


def product_norms(jacobians: Matrices) -> ProductNorms:
    """Norms of dh_T/dh_t at every lag T - t.

    Args:
        jacobians: T of (..., n, n), or (T, ..., n, n).

    Returns:
        float64. A product of zeros, as of saturated units, has the logarithm -inf.

    Cost: for each lag one product and one singular value decomposition of n x n.
    """
    product = _identity_like(jacobians[0])
    logarithm = torch.zeros(product.shape[:-2], dtype=product.dtype, device=product.device)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for lag in range(len(jacobians) + 1):
        if lag > 0:
            product = product @ jacobians[-lag].double()
        frobenius = frobenius_norm(product)
        spectral = spectral_norm(product)
        found.append((logarithm + spectral.log(), logarithm + frobenius.log(), (frobenius / spectral).square()))
        logarithm = logarithm + frobenius.log()
        product = product / torch.where(frobenius > 0, frobenius, 1.0)[..., None, None]
    return ProductNorms(*(torch.stack(values) for values in zip(*found, strict=True)))


def log_singular_values(jacobians: Matrices, lags: Collection[int]) -> Tensor:
    """Logarithms of all singular values of dh_T/dh_t, also of those far below the largest.

    A product of many Jacobians has singular values that differ by more than any floating-point number can hold. So it
    is kept as Q_k R, R = D U, by a QR decomposition at each step: D are scales as logarithms, and the rows of U have
    norm 1. A one-sided Jacobi iteration on the rows then gives each singular value to its own digits, less those that
    the condition number of a single Jacobian, not of the product, takes away.

    Args:
        jacobians: T of (..., n, n), or (T, ..., n, n).
        lags: Which, from 0 to T, in ascending order.

    Returns:
        (number of lags, ..., n), float64, largest first; -inf for a singular value of 0.

    Raises:
        ValueError: The lags are not ascending numbers from 0 to T.

    Cost: for each step up to the largest lag one QR decomposition and two products; for each lag the iteration, which
    is as long as a few hundred steps.
    Source: Demmel and Veselic (1992), SIAM Journal on Matrix Analysis and Applications 13, for the relative accuracy.
    """
    wanted = list(lags)
    if wanted != sorted(set(wanted)) or not wanted or wanted[0] < 0 or wanted[-1] > len(jacobians):
        raise ValueError(f"lags must be ascending numbers from 0 to {len(jacobians)}, got {wanted}")
    rows = _identity_like(jacobians[0])
    size = rows.shape[-1]
    # From a random frame on, the scales come out in descending order, however the Jacobians' own axes lie; from one in
    # which they ascend, rows of U would be nearly sums of each other.
    generator = torch.Generator().manual_seed(0)
    frame = qr(torch.randn(size, size, dtype=torch.float64, generator=generator))[0].to(rows.device)
    scales = torch.zeros(rows.shape[:-1], dtype=rows.dtype, device=rows.device)
    found = []
    for lag in range(wanted[-1] + 1):
        if lag > 0:
            frame, triangle = qr(jacobians[-lag].double().mT @ frame)
            scales, rows = times_scaled_rows(triangle, scales, rows)
        if lag in wanted:
            found.append((scales, rows))
    stacked = (torch.stack(parts) for parts in zip(*found, strict=True))
    return log_singular_values_of_rows(*stacked)


def _identity_like(matrix: Tensor) -> Tensor:
    return torch.eye(matrix.shape[-1], dtype=torch.float64, device=matrix.device).expand(matrix.shape)
