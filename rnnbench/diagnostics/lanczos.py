"""Extreme eigenvalues and eigenvectors of symmetric matrices that are known by their products with vectors alone.

Letters: R replicas, P size of a replica's matrix, k iterations.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.linear_algebra import eigh

BREAKDOWN = 1e-12
"""What is left of a product, as a share of the matrix's norm, below which the vectors so far span an invariant space.

Rounding leaves about 1e-16 sqrt(P); the eigenvalues then are wrong by no more than this share.
"""

RESTART_SEED = 1950
"""Of the vectors that begin another space, and the iteration is added; a `random_start` must not have the same seed."""


@dataclass(frozen=True)
class RitzPairs:
    """Approximate eigenpairs of each replica's matrix, largest eigenvalue first. Rows that met a NaN are NaN.

    Attributes:
        values: (R, k), float64.
        residuals: Norm of A v - value v for each pair's unit vector v, (R, k): within it lies a true eigenvalue. It is
            exact but for rounding, about 1e-16 of the matrix's norm.
        coefficients: (R, k, k), column i: vector i in terms of the basis.
        basis: (R, k, P), orthonormal rows.
    """

    values: Tensor
    residuals: Tensor
    coefficients: Tensor
    basis: Tensor

    def vectors(self, which: slice) -> Tensor:
        """Unit vectors of some pairs, (R, number of them, P), in the order of `values`; their signs mean nothing."""
        return self.coefficients[:, :, which].mT @ self.basis


def lanczos(product: Callable[[Tensor], Tensor], start: Tensor, num_iterations: int) -> RitzPairs:
    """Approximate eigenpairs of each replica's symmetric matrix A from the space of v, A v, A^2 v, ...

    The extreme eigenvalues converge first, the better they are separated the sooner. Every new vector is orthogonalized
    against all before it, twice, so that no eigenvalue appears more often than it is there. Where the space is
    invariant under A before k iterations are over (A of low rank, or few different eigenvalues), a random vector
    orthogonal to it begins the next one: with k = P all eigenpairs are found, multiple ones included.

    Args:
        product: v (R, P) -> A v (R, P), in start's dtype; of float32 products eigenvalues are good to 1e-6 of A's norm.
        start: First vector, (R, P), none of them zero.
        num_iterations: k; P where that is less.

    Cost: k products, and 4 k^2 P multiplications for each replica. Memory: k P numbers of float64 for each replica.
    Source: Lanczos (1950); Parlett (1998), The Symmetric Eigenvalue Problem, chapter 13.

    Example:
        >>> matrix = torch.diag(torch.tensor([3.0, 1.0, -2.0], dtype=torch.float64))
        >>> found = lanczos(lambda v: v @ matrix, torch.ones(1, 3, dtype=torch.float64), 3)
        >>> found.values.round(decimals=6)
        tensor([[ 3.,  1., -2.]], dtype=torch.float64)
    """
    num_replicas, size = start.shape
    count = min(num_iterations, size)
    vector = _unit(start.double())
    basis = vector.new_zeros(num_replicas, count, size)
    diagonal, beside = vector.new_zeros(num_replicas, count), vector.new_zeros(num_replicas, count)
    scale = vector.new_zeros(num_replicas)
    last = scale
    for j in range(count):
        basis[:, j] = vector
        image = product(vector.to(start.dtype)).double()
        diagonal[:, j] = (image * vector).sum(1)
        rest = _without(image, basis[:, : j + 1])
        last = rest.norm(dim=1)
        scale = torch.maximum(scale, torch.maximum(diagonal[:, j].abs(), last))
        ended = ~((last > BREAKDOWN * scale) & last.isfinite())
        beside[:, j] = torch.where(ended, 0.0, last)
        vector = rest / last.unsqueeze(1)
        if j + 1 < count and bool(ended.any()):
            # Of this iteration alone: whether another replica has needed one before changes nothing.
            generator = torch.Generator().manual_seed(RESTART_SEED + j)
            fresh = torch.randn(size, dtype=torch.float64, generator=generator).to(start.device)
            fresh = _unit(_without(fresh.expand_as(rest), basis[:, : j + 1]))
            vector = torch.where(ended.unsqueeze(1), fresh, vector)
    return _ritz_pairs(diagonal, beside[:, :-1], last, basis)


def random_start(num_replicas: int, size: int, seed: int = 0) -> Tensor:
    """A normal vector, the same for each replica, (R, P), float64: it has a part along every eigenvector."""
    row = torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return row.expand(num_replicas, size)


def _ritz_pairs(diagonal: Tensor, beside: Tensor, last: Tensor, basis: Tensor) -> RitzPairs:
    """Eigenpairs of the tridiagonal matrices: diagonal (R, k), beside it (R, k - 1), what is left at the end (R,)."""
    small = torch.diag_embed(diagonal) + torch.diag_embed(beside, 1) + torch.diag_embed(beside, -1)
    unknown = ~(diagonal.isfinite().all(1) & last.isfinite())
    values, coefficients = eigh(small.masked_fill(unknown.view(-1, 1, 1), 0.0))
    residuals = last.unsqueeze(1) * coefficients[:, -1].abs()
    hide = unknown.unsqueeze(1)
    return RitzPairs(
        values.flip(1).masked_fill(hide, torch.nan),
        residuals.flip(1).masked_fill(hide, torch.nan),
        coefficients.flip(2).masked_fill(hide.unsqueeze(2), torch.nan),
        basis,
    )


def _without(vectors: Tensor, basis: Tensor) -> Tensor:
    """The part of (R, P) orthogonal to the rows of (R, j, P); taken twice, since once leaves rounding behind."""
    for _ in range(2):
        vectors = vectors - (basis.mT @ (basis @ vectors.unsqueeze(2))).squeeze(2)
    return vectors


def _unit(vectors: Tensor) -> Tensor:
    unit: Tensor = vectors / vectors.norm(dim=1, keepdim=True)
    return unit
