"""The Kronecker preconditioner of PSGD.

Letters: R replicas, P parameters of one replica; m and k are the rows and columns of a parameter.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench import linear_algebra
from rnnbench.optim.base import State


@dataclass(frozen=True)
class Kronecker:
    """For each parameter of shape (m, k) M = (Q_r^T Q_r) x (Q_l^T Q_l), with upper triangular Q_l (m, m), Q_r (k, k).

    M times a gradient G (m, k) is Q_l^T Q_l G Q_r^T Q_r. A parameter of one axis is a column. For a vector V and its
    product H with the curvature, both (m, k), with A = Q_l H Q_r^T and B = Q_l^-T V Q_r^-1:

        Q_l' = Q_l - rate triu(A A^T - B B^T) Q_l / norm,  Q_r' = Q_r - rate triu(A^T A - B^T B) Q_r / norm.

    Each norm is the Frobenius norm of the sum in place of the difference.

    Attributes:
        layout: Names and shapes of one replica's parameters, in theta's order.

    Source: Li (2018), arXiv 1803.09383.
    """

    layout: Mapping[str, tuple[int, ...]]

    def _shapes(self) -> Iterator[tuple[str, tuple[int, int]]]:
        """Name and shape (m, k) of each parameter."""
        for name, shape in self.layout.items():
            yield name, (shape[0], math.prod(shape[1:]))

    def numbers_per_parameter(self) -> float:
        """Numbers of the state per parameter."""
        shapes = [shape for _, shape in self._shapes()]
        return sum(m * m + k * k for m, k in shapes) / sum(m * k for m, k in shapes)

    def initial_state(self, theta: Tensor) -> State:
        """Identities."""
        state = {}
        for name, sizes in self._shapes():
            for side, size in zip(("left", "right"), sizes, strict=True):
                identity = torch.eye(size, dtype=theta.dtype, device=theta.device)
                state[f"{side}_{name}"] = identity.repeat(len(theta), 1, 1)
        return state

    def _pieces(self, *vectors: Tensor) -> Iterator[tuple[str, list[Tensor]]]:
        """Name of each parameter, and the parts of vectors (R, P) that belong to it, (R, m, k) each."""
        start = 0
        for name, (m, k) in self._shapes():
            stop = start + m * k
            yield name, [vector[:, start:stop].reshape(-1, m, k) for vector in vectors]
            start = stop

    def scaled(self, state: State, vector: Tensor, product: Tensor) -> State:
        """The state before the first fit, with identities scaled so that |M H| is near |V|, for each parameter."""
        scaled = dict(state)
        for name, (of_vector, of_product) in self._pieces(vector, product):
            ratio = of_vector.flatten(1).norm(dim=1) / of_product.flatten(1).norm(dim=1)
            for side in ("left", "right"):
                scaled[f"{side}_{name}"] = state[f"{side}_{name}"] * ratio.pow(0.25).view(-1, 1, 1)
        return scaled

    def fitted(self, state: State, vector: Tensor, product: Tensor, rate: Tensor, update: int) -> State:
        """One step of the fit.

        Args:
            state: Not changed.
            vector: v, (R, P).
            product: h, the product of the curvature with v, (R, P).
            rate: (R, 1).
            update: Not used: both factors change at every update.
        """
        rate, fitted = rate.unsqueeze(2), {}
        for name, (of_vector, of_product) in self._pieces(vector, product):
            left, right = state[f"left_{name}"], state[f"right_{name}"]
            a = left @ of_product @ right.mT
            b = torch.linalg.solve_triangular(left.mT, of_vector, upper=False)
            b = torch.linalg.solve_triangular(right, b, upper=True, left=False)
            left = _moved(left, a @ a.mT, b @ b.mT, rate)
            right = _moved(right, a.mT @ a, b.mT @ b, rate)
            balance = (_norm(left) / _norm(right)).sqrt()
            fitted[f"left_{name}"], fitted[f"right_{name}"] = left / balance, right * balance
        return fitted

    def precondition(self, state: State, gradient: Tensor) -> Tensor:
        """M times a gradient, (R, P)."""
        preconditioned = []
        for name, (piece,) in self._pieces(gradient):
            left, right = state[f"left_{name}"], state[f"right_{name}"]
            product = left.mT @ (left @ piece @ right.mT) @ right
            preconditioned.append(product.flatten(1))
        return torch.cat(preconditioned, 1)


def _moved(factor: Tensor, grown: Tensor, shrunk: Tensor, rate: Tensor) -> Tensor:
    """A triangular factor after a step of the fit."""
    norm = _norm(grown + shrunk) + torch.finfo(factor.dtype).tiny
    return factor - rate * ((grown - shrunk) / norm).triu() @ factor


def _norm(matrices: Tensor) -> Tensor:
    """Frobenius norms of matrices (R, rows, columns), (R, 1, 1)."""
    return linear_algebra.frobenius_norm(matrices).view(-1, 1, 1)
