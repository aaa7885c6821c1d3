"""The state-transition Jacobian: its spectrum, its departure from normality, and the growth of a small push.

All results are computed in float64, on the device of the Jacobians.

Letters: n the size of the state; J a Jacobian dh_t/dh_{t-1}; lambda an eigenvalue; "..." any leading axes.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from rnnbench.linear_algebra import eig, eigvals, frobenius_norm, svdvals


class Matrices(Protocol):
    """Sequence of matrices (..., n, n), one per step: a list, a tensor with one more axis, or a lazy sequence."""

    def __len__(self) -> int:
        """Number of steps."""
        ...

    def __getitem__(self, step: int, /) -> Tensor:
        """Return the matrix of a step; the index is that of a list, negative ones count from the end."""
        ...


Step = Callable[[int, Tensor], Tensor]
"""Step of a net with its inputs: from k and the state k steps after the push to the state one step later."""


def eigenvalues(jacobians: Tensor) -> Tensor:
    """Compute the eigenvalues, sorted by modulus, largest first.

    Args:
        jacobians: Matrices (..., n, n).

    Returns:
        (..., n), complex128.
    """
    values = eigvals(jacobians.double())
    return values.gather(-1, values.abs().argsort(dim=-1, descending=True, stable=True))


def singular_values(jacobians: Tensor) -> Tensor:
    """Compute the singular values, largest first.

    Args:
        jacobians: Matrices (..., n, n).

    Returns:
        (..., n), float64.
    """
    return svdvals(jacobians.double())


def share_above(values: Tensor, limit: Tensor | float) -> Tensor:
    """Return the share of values (..., n) above a limit, (...), float64; NaN if one of the values is NaN."""
    return torch.where(values.isnan().any(-1), torch.nan, (values > limit).double().mean(-1))


def departure_from_normality(jacobians: Tensor, eigenvalues: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the departure of Jacobians from normality, that is, from having orthogonal eigenvectors.

    The absolute departure is sqrt(||J||_F^2 - sum of |lambda|^2), the norm of the strictly upper part of the Schur form
    of J. The relative departure is divided by ||J||_F: 0 for a normal matrix, 1 for a nilpotent one. Relative values
    below about 1e-7 are rounding errors.

    Args:
        jacobians: Matrices (..., n, n).
        eigenvalues: Eigenvalues of the Jacobians, (..., n), in any order.

    Returns:
        Absolute and relative departure, (...) each, float64; the relative one is 0 for a zero matrix.

    Source: Henrici (1962), Numerische Mathematik 4.
    """
    norm = frobenius_norm(jacobians.double())
    # The difference of squares is written as a product to avoid overflow and underflow.
    spectral = torch.linalg.vector_norm(eigenvalues, dim=-1)
    absolute = ((norm - spectral).clamp(min=0) * (norm + spectral)).sqrt()
    return absolute, torch.where(norm > 0, absolute / norm, 0.0)


def leading_eigenvectors(jacobians: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Compute the eigenvectors of the largest eigenvalues by modulus.

    A complex pair counts as one; its eigenvalue with positive imaginary part is returned.

    Args:
        jacobians: Matrices (..., n, n).
        count: Number of eigenvectors, at most n.

    Returns:
        Eigenvalues (count, ...) and eigenvectors of norm 1 (count, ..., n), complex128. If complex pairs leave fewer
        than `count`, the last entries are NaN.
    """
    values, vectors = eig(jacobians.double())
    # The conjugate of an eigenvector carries no further information: it is sorted last.
    rank = torch.where(values.imag < 0, -1.0, values.abs())
    order = rank.argsort(dim=-1, descending=True, stable=True)[..., :count]
    exists = (rank.gather(-1, order) >= 0).movedim(-1, 0)
    chosen = vectors.gather(-1, order.unsqueeze(-2).expand(*vectors.shape[:-1], order.shape[-1]))
    missing = torch.tensor(torch.nan, dtype=values.dtype, device=values.device)
    leading = torch.where(exists, values.gather(-1, order).movedim(-1, 0), missing)
    return leading, torch.where(exists.unsqueeze(-1), chosen.movedim(-1, 0), missing)


def push_log_growth(step: Step, states: Tensor, directions: Tensor, size: float, num_steps: int) -> Tensor:
    """Measure the growth of a small push along the real trajectory of a net.

    A complex direction v stands for two pushes, along its real and its imaginary part. Their distances from the
    unpushed trajectory are the real and imaginary part of one complex vector. For a constant Jacobian with eigenvector
    v, the norm of this vector grows by |lambda|^k exactly, although the complex pair rotates.

    Args:
        step: Step of the net, which treats all states independently.
        states: States to be pushed, (..., n).
        directions: Directions of the push, of norm 1, (..., n), real or complex. The leading axes are those of
            `states`; further axes before them stand for several directions.
        size: Norm of the push, in units of the state.
        num_steps: Number of steps after the push.

    Returns:
        ln(distance after k steps / size) for k = 0 .. num_steps, (num_steps + 1, ...), float64. Distances below about
        1e-16 of the state are rounding errors.
    """
    parts = [directions.real, directions.imag] if directions.is_complex() else [directions]
    pushes = size * torch.stack([torch.zeros_like(parts[0]), *parts]).double()  # the first one is not pushed
    followed = states.double() + pushes
    growth = []
    for k in range(num_steps + 1):
        distance = torch.linalg.vector_norm((followed[1:] - followed[:1]).movedim(0, -1), dim=(-2, -1))
        growth.append((distance / size).log())
        if k < num_steps:
            followed = step(k, followed)
    return torch.stack(growth)


def product_log_growth(jacobians: Matrices, directions: Tensor) -> Tensor:
    """Compute the growth of an infinitesimal push, from the product of the Jacobians along the trajectory.

    Args:
        jacobians: Jacobians of the K steps after the push, in order: K matrices (..., n, n), or (K, ..., n, n).
        directions: Directions v, (..., n), real or complex; further leading axes stand for several directions.

    Returns:
        ln ||J_k ... J_1 v|| for k = 0 .. K, (K + 1, ...), float64.
    """
    vectors = directions.to(torch.complex128)
    norm = torch.linalg.vector_norm(vectors, dim=-1)
    growth = [norm.log()]
    for k in range(len(jacobians)):
        vectors = vectors / torch.where(norm > 0, norm, 1.0).unsqueeze(-1)
        vectors = (jacobians[k].to(torch.complex128) @ vectors.unsqueeze(-1)).squeeze(-1)
        norm = torch.linalg.vector_norm(vectors, dim=-1)
        growth.append(growth[-1] + norm.log())
    return torch.stack(growth)


def eigenvalue_log_growth(values: Tensor, num_steps: int) -> Tensor:
    """Return the growth that eigenvalues predict: k ln |lambda|, k = 0 .. num_steps, (num_steps + 1, ...), float64."""
    steps = torch.arange(num_steps + 1, dtype=torch.float64, device=values.device)
    logarithm = values.abs().double().log()
    grown = steps.view(-1, *[1] * logarithm.ndim) * logarithm
    grown[0] = 0  # also for an eigenvalue of 0
    return grown
