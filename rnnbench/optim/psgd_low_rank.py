"""The low-rank preconditioner of PSGD.

Letters: R replicas, P parameters of one replica, k the rank.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench import linear_algebra
from rnnbench.optim.base import State

EXTRA_RANK = 10
"""U and V begin with entries of variance 1 / (P (k + 10)), so that U V^T is small beside the identity."""


@dataclass(frozen=True)
class LowRank:
    """M = Q^T Q with Q = (I + U V^T) diag(d): a diagonal matrix, and a correction of low rank.

    U and V change in turn, and Q is multiplied at each step, so that it stays invertible:

        d' = d (1 - rate (h M h - v M^-1 v) / norm),  U' = U - rate (a a^T - b b^T) V (I + V^T U) / norm,
        V' = V - rate (I + V U^T) (a a^T - b b^T) U / norm,  with a = Q h and b = Q^-T v,

    where products of vectors in d' are element by element. Each norm is the sum of the norms of both terms.

    Attributes:
        rank: k.

    Source: Li (2018), arXiv 1803.09383; the group of these matrices: Li (2022), arXiv 2211.04422.
    """

    rank: int

    def numbers_per_parameter(self) -> float:
        """Numbers of the state per parameter."""
        return 1 + 2 * self.rank

    def initial_state(self, theta: Tensor) -> State:
        """Small U and V, the same for all replicas, and d = 1."""
        num_replicas, num_parameters = theta.shape
        size, generator = (num_parameters * (self.rank + EXTRA_RANK)) ** -0.5, torch.Generator().manual_seed(0)
        small = size * torch.randn(2, num_parameters, self.rank, generator=generator, dtype=torch.float64)
        left, right = small.to(theta).unsqueeze(1).repeat(1, num_replicas, 1, 1)
        return {"scale": torch.ones_like(theta), "left": left, "right": right}

    def scaled(self, state: State, vector: Tensor, product: Tensor) -> State:
        """The state before the first fit, with d such that |M h| is near |v|."""
        ratio = vector.norm(dim=1, keepdim=True) / product.norm(dim=1, keepdim=True)
        return {**state, "scale": state["scale"] * ratio.sqrt()}

    def fitted(self, state: State, vector: Tensor, product: Tensor, rate: Tensor, update: int) -> State:
        """One step of the fit.

        Args:
            state: Not changed.
            vector: v, (R, P).
            product: h, the product of the curvature with v, (R, P).
            rate: (R, 1).
            update: Index of the update: U changes at even ones, V at odd ones.
        """
        d, left, right, tiny = state["scale"], state["left"], state["right"], torch.finfo(vector.dtype).tiny
        inner = _add_identity(right.mT @ left)  # I + V^T U, (R, k, k)
        inverse = linear_algebra.inv(inner)
        a = _times(left, right, d * product)
        preconditioned = d * _times(right, left, a)
        b = vector / d
        b = b - _apply(right, inverse.mT, left, b)
        solved = (b - _apply(left, inverse, right, b)) / d
        grown, shrunk = product * preconditioned, vector * solved
        largest = (grown.abs() + shrunk.abs()).amax(1, keepdim=True)
        scale = d * (1 - rate * (grown - shrunk) / (largest + tiny))

        changes_left = update % 2 == 0
        other = right if changes_left else left
        coefficients = torch.stack([a, b], 1) @ other  # (R, 2, k), of a and b
        images = (coefficients @ other.mT).norm(dim=2)
        norm = images[:, :1] * a.norm(dim=1, keepdim=True) + images[:, 1:] * b.norm(dim=1, keepdim=True)
        factors = coefficients * torch.stack([rate, -rate], 1) / (norm + tiny).unsqueeze(2)
        vectors = torch.stack([a, b], 2)  # (R, P, 2)
        if changes_left:
            left = torch.baddbmm(left, vectors, factors @ inner, alpha=-1)
        else:
            change = vectors @ factors
            right = right - change - right @ (left.mT @ change)
        ratio = (left.flatten(1).norm(dim=1) / (right.flatten(1).norm(dim=1) + tiny)).sqrt().view(-1, 1, 1)
        return {"scale": scale, "left": left / ratio, "right": right * ratio}

    def precondition(self, state: State, gradient: Tensor) -> Tensor:
        """M times a gradient, (R, P)."""
        d, left, right = state["scale"], state["left"], state["right"]
        return d * _times(right, left, _times(left, right, d * gradient))


def _add_identity(matrices: Tensor) -> Tensor:
    return matrices + torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)


def _times(left: Tensor, right: Tensor, vector: Tensor) -> Tensor:
    """(I + left right^T) times a vector, (R, P)."""
    return torch.baddbmm(vector.unsqueeze(2), left, right.mT @ vector.unsqueeze(2)).squeeze(2)


def _apply(left: Tensor, middle: Tensor, right: Tensor, vector: Tensor) -> Tensor:
    """Multiply a vector by left middle right^T, (R, P)."""
    return (left @ (middle @ (right.mT @ vector.unsqueeze(2)))).squeeze(2)
