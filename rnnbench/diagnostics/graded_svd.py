"""Singular values of matrices D U whose row scales D exceed the range of floating-point numbers.

The scales are stored as logarithms ln D, (..., n), -inf for a row of zeros. The rows of U, (..., n, m), have norm 1
or 0.
"""

import torch
from torch import Tensor

from rnnbench.linear_algebra import qr

MAX_SWEEPS = 40
"""Maximum number of sweeps over all pairs of rows; about ten suffice, since the final convergence is quadratic."""

TOLERANCE = 1e-12
"""Largest cosine between two rows that count as orthogonal; it bounds the relative error of each singular value."""


def times_scaled_rows(matrix: Tensor, scales: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Multiply a matrix (..., k, n) by D U; the result has the same form: scales and rows."""
    exponents = matrix.abs().log() + scales.unsqueeze(-2)  # (..., k, n)
    largest = exponents.amax(-1, keepdim=True)
    largest = torch.where(largest.isfinite(), largest, 0.0)
    mixed = (matrix.sign() * (exponents - largest).exp()) @ rows
    norm = torch.linalg.vector_norm(mixed, dim=-1)
    return largest.squeeze(-1) + norm.log(), mixed / torch.where(norm > 0, norm, 1.0).unsqueeze(-1)


def log_singular_values_of_rows(scales: Tensor, rows: Tensor) -> Tensor:
    """Compute the logarithms of the singular values of D U by a one-sided Jacobi iteration.

    Pairs of rows are rotated in their plane until all rows are orthogonal; the singular values are then the norms of
    the rows. The norms are stored as logarithms, separately from rows of norm 1, so that the rotations depend only on
    ratios of norms. n / 2 disjoint pairs are rotated at a time, in the order of a round-robin tournament. As a first
    step, QR of U^T gives D U = (T D)^T times an orthogonal matrix, with T upper triangular; for descending D, T D is
    nearly diagonal.

    Args:
        scales: ln D, (..., n).
        rows: U, (..., n, n); no row may be nearly a linear combination of the others.

    Returns:
        (..., n), float64, largest first.

    Source: Demmel and Veselic (1992), SIAM Journal on Matrix Analysis and Applications 13.
    """
    shape = scales.shape
    scales, rows = scales.reshape(-1, shape[-1]), rows.reshape(-1, *rows.shape[-2:])
    scales, rows = _sorted(scales, rows)
    identity = torch.eye(rows.shape[-1], dtype=rows.dtype, device=rows.device)
    scales, rows = times_scaled_rows(qr(rows.mT)[1], scales, identity)
    if shape[-1] % 2:  # append a row of zeros, so that every row has a partner
        scales = torch.cat([scales, scales.new_full((len(scales), 1), -torch.inf)], 1)
        rows = torch.cat([rows, rows.new_zeros(len(rows), 1, rows.shape[-1])], 1)
    for _ in range(MAX_SWEEPS):
        scales, rows = _sorted(scales, rows)
        if not bool((_largest_cosine(rows) > TOLERANCE).any()):  # False for NaN, which stays NaN
            break
        for first, second in _rounds(scales.shape[1]):
            scales, rows = _rotate(scales, rows, first, second)
    return scales.sort(dim=1, descending=True).values[:, : shape[-1]].reshape(shape)


def _sorted(scales: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    order = scales.argsort(dim=1, descending=True, stable=True)
    return scales.gather(1, order), rows.gather(1, order.unsqueeze(-1).expand_as(rows))


def _largest_cosine(rows: Tensor) -> Tensor:
    cosines = (rows @ rows.mT).abs()
    cosines.diagonal(dim1=1, dim2=2).zero_()
    return cosines.amax((1, 2))


def _rounds(count: int) -> list[tuple[list[int], list[int]]]:
    """Return all pairs of an even number of players, in rounds of disjoint pairs."""
    players, rounds = list(range(count)), []
    for _ in range(count - 1):
        pairs = [sorted((players[k], players[-1 - k])) for k in range(count // 2)]
        rounds.append(([one for one, _ in pairs], [other for _, other in pairs]))
        players = [players[0], players[-1], *players[1:-1]]
    return rounds


def _rotate(scales: Tensor, rows: Tensor, first: list[int], second: list[int]) -> tuple[Tensor, Tensor]:
    """Make the rows of disjoint pairs orthogonal; the larger row of each pair changes little."""
    one, other = scales[:, first], scales[:, second]
    swap = other > one
    large, small = torch.where(swap, other, one), torch.where(swap, one, other)
    a, b = rows[:, first], rows[:, second]
    a, b = torch.where(swap.unsqueeze(-1), b, a), torch.where(swap.unsqueeze(-1), a, b)
    cosine = (a * b).sum(-1)
    ratio = torch.where(small.isfinite(), (small - large).exp(), 0.0)  # ratio r <= 1 of the norms
    # tan of the angle is r c / x with x the larger root of x^2 - (1 - r^2) x - (r c)^2 = 0; see the 2 x 2 Gram matrix.
    gap = 1 - ratio.square()
    root = (gap + (gap.square() + (2 * ratio * cosine).square()).sqrt()) / 2
    slope = torch.where(root > 0, cosine / torch.where(root > 0, root, 1.0), 0.0)  # tan / r
    tangent = ratio * slope
    secant = (1 + tangent.square()).sqrt().unsqueeze(-1)
    larger = (a + (tangent * ratio).unsqueeze(-1) * b) / secant
    smaller = (b - slope.unsqueeze(-1) * a) / secant
    norms = torch.linalg.vector_norm(torch.stack([larger, smaller]), dim=-1)
    scales, rows = scales.clone(), rows.clone()
    for index, logarithm, vector, norm in zip((first, second), (large, small), (larger, smaller), norms, strict=True):
        scales[:, index] = torch.where(norm > 0, logarithm + norm.log(), -torch.inf)
        rows[:, index] = vector / torch.where(norm > 0, norm, 1.0).unsqueeze(-1)
    return scales, rows
