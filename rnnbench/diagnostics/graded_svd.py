"""Matrices whose rows differ in size by more than floating-point numbers can hold: D U, D as logarithms.

The scales ln D are (..., n), -inf for a row of zeros; the rows of U, (..., n, m), have norm 1, or 0.
"""

import torch
from torch import Tensor

from rnnbench.linear_algebra import qr

MAX_SWEEPS = 40
"""Sweeps over all pairs of rows; ten are more than enough as a rule, since the convergence is quadratic at last."""

TOLERANCE = 1e-12
"""Largest cosine between two rows at which they count as orthogonal, a bound on the relative error of each value."""


def times_scaled_rows(matrix: Tensor, scales: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """A matrix (..., k, n) times D U, as scales and rows again."""
    exponents = matrix.abs().log() + scales.unsqueeze(-2)  # (..., k, n)
    largest = exponents.amax(-1, keepdim=True)
    largest = torch.where(largest.isfinite(), largest, 0.0)
    mixed = (matrix.sign() * (exponents - largest).exp()) @ rows
    norm = torch.linalg.vector_norm(mixed, dim=-1)
    return largest.squeeze(-1) + norm.log(), mixed / torch.where(norm > 0, norm, 1.0).unsqueeze(-1)


def log_singular_values_of_rows(scales: Tensor, rows: Tensor) -> Tensor:
    """Logarithms of the singular values of D U, by a one-sided Jacobi iteration.

    Pairs of rows are rotated in their plane until all are orthogonal; their norms are the singular values then. Norms
    are kept as logarithms and rows of norm 1 beside them, so that only ratios of norms enter. n / 2 disjoint pairs are
    rotated at a time, in the order of a round-robin tournament. Before, D U = (T D)^T times an orthogonal matrix by QR
    of U^T, T upper triangular: where D descends, T D is nearly diagonal.

    Args:
        scales: ln D, (..., n), such that no row of U is nearly a sum of the others.
        rows: U, (..., n, n).

    Returns:
        (..., n), float64, largest first.

    Source: Demmel and Veselic (1992), SIAM Journal on Matrix Analysis and Applications 13.
    """
    shape = scales.shape
    scales, rows = scales.reshape(-1, shape[-1]), rows.reshape(-1, *rows.shape[-2:])
    scales, rows = _sorted(scales, rows)
    identity = torch.eye(rows.shape[-1], dtype=rows.dtype, device=rows.device)
    scales, rows = times_scaled_rows(qr(rows.mT)[1], scales, identity)
    if shape[-1] % 2:  # a row of zeros, so that every row has a partner
        scales = torch.cat([scales, scales.new_full((len(scales), 1), -torch.inf)], 1)
        rows = torch.cat([rows, rows.new_zeros(len(rows), 1, rows.shape[-1])], 1)
    for _ in range(MAX_SWEEPS):
        scales, rows = _sorted(scales, rows)
        if not bool((_largest_cosine(rows) > TOLERANCE).any()):  # NaN stays as it is
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
    """Every pair of an even number of players once, in rounds of disjoint pairs."""
    players, rounds = list(range(count)), []
    for _ in range(count - 1):
        pairs = [sorted((players[k], players[-1 - k])) for k in range(count // 2)]
        rounds.append(([one for one, _ in pairs], [other for _, other in pairs]))
        players = [players[0], players[-1], *players[1:-1]]
    return rounds


def _rotate(scales: Tensor, rows: Tensor, first: list[int], second: list[int]) -> tuple[Tensor, Tensor]:
    """Make the rows of disjoint pairs orthogonal, the larger row of each pair staying near where it is."""
    one, other = scales[:, first], scales[:, second]
    swap = other > one
    large, small = torch.where(swap, other, one), torch.where(swap, one, other)
    a, b = rows[:, first], rows[:, second]
    a, b = torch.where(swap.unsqueeze(-1), b, a), torch.where(swap.unsqueeze(-1), a, b)
    cosine = (a * b).sum(-1)
    ratio = torch.where(small.isfinite(), (small - large).exp(), 0.0)  # r <= 1, of the norms
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
