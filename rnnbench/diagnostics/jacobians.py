"""One state-transition Jacobian: its spectrum, its departure from normality, and what becomes of a small push.

Everything is computed in float64, whatever the Jacobians come in, and on their device.

Letters: n the size of the state; J a Jacobian dh_t/dh_{t-1}; lambda an eigenvalue; ... any leading axes.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from rnnbench.linear_algebra import eig, eigvals, frobenius_norm, svdvals


class Matrices(Protocol):
    """Matrices (..., n, n), one for each step: a list, a tensor with one more axis, or what makes them when asked."""

    def __len__(self) -> int:
        """Number of steps."""
        ...

    def __getitem__(self, step: int, /) -> Tensor:
        """The matrix of a step, counted from 0; from the last one backwards where negative."""
        ...


Step = Callable[[int, Tensor], Tensor]
"""The step of a net with its inputs: from k and the state k steps after the push, to the state after one more."""


def eigenvalues(jacobians: Tensor) -> Tensor:
    """Eigenvalues by modulus, largest first.

    Args:
        jacobians: (..., n, n).

    Returns:
        (..., n), complex128.
    """
    values = eigvals(jacobians.double())
    return values.gather(-1, values.abs().argsort(dim=-1, descending=True, stable=True))


def singular_values(jacobians: Tensor) -> Tensor:
    """Singular values, largest first.

    Args:
        jacobians: (..., n, n).

    Returns:
        (..., n), float64.
    """
    return svdvals(jacobians.double())


def share_above(values: Tensor, limit: Tensor | float) -> Tensor:
    """Share of numbers (..., n) above a limit, (...), float64; NaN where one of them is."""
    return torch.where(values.isnan().any(-1), torch.nan, (values > limit).double().mean(-1))


def departure_from_normality(jacobians: Tensor, eigenvalues: Tensor) -> tuple[Tensor, Tensor]:
    """How far Jacobians are from having orthogonal eigenvectors.

    sqrt(||J||_F^2 - sum of |lambda|^2), the norm of the strictly upper part of J's Schur form; the relative one is that
    over ||J||_F: 0 for a normal matrix, 1 for a nilpotent one. Relative values below about 1e-7 are rounding.

    Args:
        jacobians: (..., n, n).
        eigenvalues: Theirs, (..., n), in any order.

    Returns:
        Absolute and relative, (...) each, float64; the relative one is 0 for a matrix of zeros.

    Source: Henrici (1962), Numerische Mathematik 4.
    """
    norm = frobenius_norm(jacobians.double())
    # A difference of squares as a product, so that nothing overflows or underflows that need not.
    spectral = torch.linalg.vector_norm(eigenvalues, dim=-1)
    absolute = ((norm - spectral).clamp(min=0) * (norm + spectral)).sqrt()
    return absolute, torch.where(norm > 0, absolute / norm, 0.0)


def leading_eigenvectors(jacobians: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The eigenvectors of the largest eigenvalues by modulus; of a complex pair, the one with positive imaginary part.

    Args:
        jacobians: (..., n, n).
        count: How many are wanted, a complex pair counting as one; at most n.

    Returns:
        Eigenvalues (count, ...) and eigenvectors of norm 1 (count, ..., n), complex128. NaN where there are fewer,
        since pairs count as one.
    """
    values, vectors = eig(jacobians.double())
    # The conjugate of an eigenvector says nothing that the vector does not: it goes last.
    rank = torch.where(values.imag < 0, -1.0, values.abs())
    order = rank.argsort(dim=-1, descending=True, stable=True)[..., :count]
    there = (rank.gather(-1, order) >= 0).movedim(-1, 0)
    chosen = vectors.gather(-1, order.unsqueeze(-2).expand(*vectors.shape[:-1], order.shape[-1]))
    nothing = torch.tensor(torch.nan, dtype=values.dtype, device=values.device)
    leading = torch.where(there, values.gather(-1, order).movedim(-1, 0), nothing)
    return leading, torch.where(there.unsqueeze(-1), chosen.movedim(-1, 0), nothing)


def push_log_growth(step: Step, states: Tensor, directions: Tensor, size: float, num_steps: int) -> Tensor:
    """By how much a small push has grown on the real trajectory, k steps later.

    A complex direction v stands for two pushes, along its real and its imaginary part, whose distances from the
    trajectory that was not pushed are the parts of one complex vector: under a constant Jacobian, of which v is an
    eigenvector, its norm is |lambda|^k exactly, however the pair rotates.

    Args:
        step: Of the net; treats every state alone.
        states: Where the push is given, (..., n).
        directions: Of norm 1, (..., n), real or complex; its leading axes are those of `states`, with more before them
            where several directions are wanted.
        size: Norm of the push, in units of the state.
        num_steps: Steps that are followed.

    Returns:
        ln(distance after k steps / size), k = 0 .. num_steps first, (num_steps + 1, ...), float64. Distances below
        about 1e-16 of the state are rounding.
    """
    parts = [directions.real, directions.imag] if directions.is_complex() else [directions]
    pushes = size * torch.stack([torch.zeros_like(parts[0]), *parts]).double()  # the first is none
    followed = states.double() + pushes
    growth = []
    for k in range(num_steps + 1):
        distance = torch.linalg.vector_norm((followed[1:] - followed[:1]).movedim(0, -1), dim=(-2, -1))
        growth.append((distance / size).log())
        if k < num_steps:
            followed = step(k, followed)
    return torch.stack(growth)


def product_log_growth(jacobians: Matrices, directions: Tensor) -> Tensor:
    """By how much the product of the Jacobians along a trajectory makes a vector grow: an infinitely small push.

    Args:
        jacobians: Of the steps after the push, in their order: K of (..., n, n), or (K, ..., n, n).
        directions: (..., n), real or complex, with more leading axes where several are wanted.

    Returns:
        ln ||J_k ... J_1 v||, k = 0 .. K first, (K + 1, ...), float64.
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
    """What eigenvalues alone say of it: k ln |lambda|, k = 0 .. num_steps first, (num_steps + 1, ...), float64."""
    steps = torch.arange(num_steps + 1, dtype=torch.float64, device=values.device)
    logarithm = values.abs().double().log()
    grown = steps.view(-1, *[1] * logarithm.ndim) * logarithm
    grown[0] = 0  # also of an eigenvalue of 0
    return grown
