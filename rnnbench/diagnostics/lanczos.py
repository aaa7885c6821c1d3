"""Extreme eigenvalues and eigenvectors of symmetric matrices that are given by their products with vectors.

Letters: R replicas, P size of a replica's matrix, k iterations.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.linear_algebra import eigh

BREAKDOWN = 1e-12
"""The vectors so far span an invariant space if the remainder of a product is below this share of the matrix's norm.

Rounding leaves a remainder of about 1e-16 sqrt(P). The relative error of the eigenvalues is at most this share.
"""

RESTART_SEED = 1950
"""The seed of a restart vector is this number plus the iteration; it must differ from the seed of `random_start`."""


@dataclass(frozen=True)
class RitzPairs:
    """Approximate eigenpairs of each replica's matrix, largest eigenvalue first. Replicas with a NaN are all NaN.

    Attributes:
        values: Approximate eigenvalues, (R, k), float64.
        residuals: Norm of A v - value v for the unit vector v of each pair, (R, k): a true eigenvalue lies within this
            distance. Rounding changes it by about 1e-16 of the matrix's norm.
        coefficients: Coefficients of the vectors in the basis, (R, k, k); column i belongs to vector i.
        basis: Orthonormal rows, (R, k, P).
    """

    values: Tensor
    residuals: Tensor
    coefficients: Tensor
    basis: Tensor

    def vectors(self, selected: slice) -> Tensor:
        """Return the unit vectors of some pairs, (R, number of pairs, P), in the order of `values`, of any sign."""
        return self.coefficients[:, :, selected].mT @ self.basis


def lanczos(product: Callable[[Tensor], Tensor], start: Tensor, num_iterations: int) -> RitzPairs:
    """Compute approximate eigenpairs of each replica's symmetric matrix A in the space of v, A v, A^2 v, ...

    The extreme eigenvalues converge first, and faster if they are well separated. Each new vector is orthogonalized
    twice against all previous ones, so that no eigenvalue appears with a wrong multiplicity. If the space becomes
    invariant under A before k iterations (A has low rank or few distinct eigenvalues), the iteration restarts from a
    random vector orthogonal to it; with k = P all eigenpairs are found, including multiple ones.

    Args:
        product: Function v (R, P) -> A v (R, P), in the dtype of `start`; with float32 products the eigenvalues are
            accurate to 1e-6 of the norm of A.
        start: First vector of each replica, (R, P), not zero.
        num_iterations: k; at most P are done.

    Cost: k products, and 4 k^2 P multiplications per replica. Memory: k P numbers of float64 per replica.
    Source: Lanczos (1950); Parlett (1998), The Symmetric Eigenvalue Problem, chapter 13.

    Example:
        >>> matrix = torch.diag(torch.tensor([3.0, 1.0, -2.0], dtype=torch.float64))
        >>> pairs = lanczos(lambda v: v @ matrix, torch.ones(1, 3, dtype=torch.float64), 3)
        >>> pairs.values.round(decimals=6)
        tensor([[ 3.,  1., -2.]], dtype=torch.float64)
    """
    num_replicas, size = start.shape
    count = min(num_iterations, size)
    vector = _unit(start.double())
    basis = vector.new_zeros(num_replicas, count, size)
    diagonal, off_diagonal = vector.new_zeros(num_replicas, count), vector.new_zeros(num_replicas, count)
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
        off_diagonal[:, j] = torch.where(ended, 0.0, last)
        vector = rest / last.unsqueeze(1)
        if j + 1 < count and bool(ended.any()):
            # The seed depends on the iteration only, so that restarts of other replicas have no effect.
            generator = torch.Generator().manual_seed(RESTART_SEED + j)
            fresh = torch.randn(size, dtype=torch.float64, generator=generator).to(start.device)
            fresh = _unit(_without(fresh.expand_as(rest), basis[:, : j + 1]))
            vector = torch.where(ended.unsqueeze(1), fresh, vector)
    return _ritz_pairs(diagonal, off_diagonal[:, :-1], last, basis)


def random_start(num_replicas: int, size: int, seed: int = 0) -> Tensor:
    """Return a normally distributed vector, the same for each replica, (R, P), float64.

    It has a component along every eigenvector.
    """
    row = torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return row.expand(num_replicas, size)


def _ritz_pairs(diagonal: Tensor, off_diagonal: Tensor, last: Tensor, basis: Tensor) -> RitzPairs:
    """Compute the eigenpairs of tridiagonal matrices.

    Args:
        diagonal: (R, k).
        off_diagonal: (R, k - 1).
        last: Norm of the last remainder, (R,).
        basis: (R, k, P).
    """
    small = torch.diag_embed(diagonal) + torch.diag_embed(off_diagonal, 1) + torch.diag_embed(off_diagonal, -1)
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
    """Project vectors (R, P) onto the complement of the rows of (R, j, P); twice, to remove rounding errors."""
    for _ in range(2):
        vectors = vectors - (basis.mT @ (basis @ vectors.unsqueeze(2))).squeeze(2)
    return vectors


def _unit(vectors: Tensor) -> Tensor:
    unit: Tensor = vectors / vectors.norm(dim=1, keepdim=True)
    return unit
