"""Decompositions of batches of matrices in which a bad matrix does not affect the others. All LAPACK calls are here.

LAPACK decomposes the matrices of a batch one by one, but its behaviour for non-finite entries is undefined: it may
raise, loop, or end the process. So matrices with non-finite entries are left out, and so are those for which LAPACK
does not converge. Their results are NaN; the results of the other matrices are bit for bit the same as without them.

Letters: m rows and n columns of a matrix, k = min(m, n); ... stands for leading axes. Results have the dtype (or the
corresponding complex dtype) and device of the matrices.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

LAPACK_ERROR = torch.linalg.LinAlgError  # type: ignore[attr-defined]  # torch does not list its public name
"""Error of a decomposition that does not converge, or of a matrix that is not finite."""

Decompose = Callable[[Tensor], tuple[Tensor, ...]]
"""Decomposes matrices (..., m, n) into tensors with the same leading axes."""


def eigvals(matrices: Tensor) -> Tensor:
    """Eigenvalues (..., n), complex, in LAPACK's order, of matrices (..., n, n)."""
    return _decompose(lambda given: (torch.linalg.eigvals(given),), matrices)[0]


def eig(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (..., n) and eigenvectors of norm 1, the columns of (..., n, n), of matrices (..., n, n); complex."""
    values, vectors = _decompose(lambda given: tuple(torch.linalg.eig(given)), matrices)
    return values, vectors


def eigvalsh(matrices: Tensor) -> Tensor:
    """Eigenvalues (..., n), smallest first, of symmetric matrices (..., n, n)."""
    return _decompose(lambda given: (torch.linalg.eigvalsh(given),), matrices)[0]


def eigh(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (..., n), smallest first, and orthonormal eigenvectors (as columns) of symmetric (..., n, n)."""
    values, vectors = _decompose(lambda given: tuple(torch.linalg.eigh(given)), matrices)
    return values, vectors


def svdvals(matrices: Tensor) -> Tensor:
    """Singular values (..., k), largest first, of matrices (..., m, n)."""
    return _decompose(lambda given: (torch.linalg.svdvals(given),), matrices)[0]


def svd(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U (..., m, k), singular values (..., k), largest first, and V^T (..., k, n) of matrices (..., m, n)."""
    left, values, right = _decompose(lambda given: tuple(torch.linalg.svd(given, full_matrices=False)), matrices)
    return left, values, right


def qr(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Q (..., m, k) with orthonormal columns and R (..., k, n), upper triangular, of matrices (..., m, n)."""
    q, r = _decompose(lambda given: tuple(torch.linalg.qr(given)), matrices)
    return q, r


def inv(matrices: Tensor) -> Tensor:
    """Inverses of matrices (..., n, n); that of a singular matrix is NaN."""
    return _decompose(lambda given: (torch.linalg.inv(given),), matrices)[0]


def cayley(skew: Tensor) -> Tensor:
    """Orthogonal matrices (I - A/2)^{-1} (I + A/2) of skew-symmetric matrices A, (..., n, n); differentiable.

    As torch.nn.utils.parametrizations.orthogonal with its map "cayley". I - A/2 is never singular.
    """
    is_usable = skew.isfinite().flatten(-2).all(-1)[..., None, None]
    half, identity = torch.where(is_usable, skew, 0) / 2, torch.eye(skew.shape[-1]).to(skew)
    # With check_errors=True, a matrix that is singular by rounding would end the computation of all of them.
    rotations = torch.linalg.solve_ex(identity - half, identity + half, check_errors=False)[0]
    return torch.where(is_usable, rotations, torch.nan)


def spectral_norm(matrices: Tensor) -> Tensor:
    """Largest singular value (...) of matrices (..., m, n)."""
    return svdvals(matrices)[..., 0]


def frobenius_norm(matrices: Tensor) -> Tensor:
    """Frobenius norm (...) of matrices (..., m, n)."""
    norm: Tensor = torch.linalg.vector_norm(matrices, dim=(-2, -1))
    return norm


def _decompose(decompose: Decompose, matrices: Tensor) -> tuple[Tensor, ...]:
    """Decompose the usable matrices of a batch; the results of the others are NaN."""
    if math.isfinite(float(matrices.detach().sum())):  # cheap; finite entries may overflow: see below
        results = _attempt(decompose, matrices)
        if results is not None:
            return results
    usable = matrices.isfinite().flatten(-2).all(-1)
    # The identity replaces the others, so that the batch keeps its shape.
    identity = torch.eye(*matrices.shape[-2:], dtype=matrices.dtype, device=matrices.device)
    given = torch.where(usable[..., None, None], matrices, identity)
    results = _attempt(decompose, given)
    if results is None:
        alone = [_attempt(decompose, matrix) is not None for matrix in given.reshape(-1, *given.shape[-2:])]
        usable = usable & torch.tensor(alone, device=usable.device).view(usable.shape)
        results = decompose(torch.where(usable[..., None, None], given, identity))
    return tuple(
        result.masked_fill(~usable.view(*usable.shape, *[1] * (result.dim() - usable.dim())), torch.nan)
        for result in results
    )


def _attempt(decompose: Decompose, matrices: Tensor) -> tuple[Tensor, ...] | None:
    """Decompose a whole batch; None if LAPACK does not converge for one of its matrices."""
    try:
        return decompose(matrices)
    except LAPACK_ERROR:
        return None
