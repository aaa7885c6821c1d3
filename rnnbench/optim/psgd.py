"""Preconditioned stochastic gradient descent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.objective.objective import Objective
from rnnbench.optim.base import State, UpdateIndex
from rnnbench.optim.clipping import clip_by_norm
from rnnbench.optim.first_order import GradientMethod
from rnnbench.optim.psgd_kronecker import Kronecker
from rnnbench.optim.psgd_low_rank import LowRank
from rnnbench.tasks.base import Stream, normal_vectors

MEAN = "mean"
"""Name of the running mean of the gradient in the state."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Psgd(GradientMethod):
    """Steps by a preconditioner that is fitted to the Hessian, one product with it per update.

    m' = momentum m + (1 - momentum) g; theta' = theta - lr clip(M m'), with g the gradient plus weight_decay theta. The
    preconditioner M = Q^T Q minimizes the mean of h^T M h + v^T M^-1 v over random directions v, where
    h = (H + weight_decay) v + damping v2, with the Hessian H of the batch and a second direction v2. In the form that
    the preconditioner has, its minimum is M = (E[(H + weight_decay)^2] + damping^2)^-1/2: the inverse of the absolute
    Hessian if H is the same at every update, so that negative curvature does not attract. Noise of H makes M smaller.

    The directions are a pure function of the replica's seed and the update. M is left as it is where a step of its fit
    would not be finite.

    Attributes:
        preconditioner: "low_rank" (`LowRank`) or "kronecker" (`Kronecker`).
        preconditioner_lr: (R, 1), rate of the fit, in (0, 1).
        rank: Rank of the low-rank form.
        momentum: (R, 1); 0: m is the gradient.
        damping: (R, 1), > 0; M has no eigenvalue far above its inverse.
        step_clip_norm: (R, 1), largest Euclidean norm of M m'; infinity: no clipping.
        layout: Names and shapes of one replica's parameters, in theta's order.
        seeds: (R,), int64, seed of each replica, on the CPU.

    Source: Li (2018), IEEE Transactions on Neural Networks and Learning Systems 29, arXiv 1512.04202.
    """

    needs_hessian = True
    num_products: ClassVar[int] = 1

    preconditioner: Literal["low_rank", "kronecker"]
    preconditioner_lr: Tensor
    rank: int
    momentum: Tensor
    damping: Tensor
    step_clip_norm: Tensor
    layout: Mapping[str, tuple[int, ...]]
    seeds: Tensor
    _form: LowRank | Kronecker = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Make the form of the preconditioner.

        Raises:
            ValueError: There is no such form.
        """
        super().__post_init__()
        if self.preconditioner not in ("low_rank", "kronecker"):
            raise ValueError(f"preconditioner must be low_rank or kronecker, got {self.preconditioner!r}")
        is_low_rank = self.preconditioner == "low_rank"
        object.__setattr__(self, "_form", LowRank(self.rank) if is_low_rank else Kronecker(self.layout))

    @property
    @override
    def bytes_per_parameter(self) -> int:
        # The state before and after the update, and intermediate results.
        return 64 + int(3 * 8 * (1 + self._form.numbers_per_parameter()))

    @override
    def initial_state(self, theta: Tensor) -> State:
        return {MEAN: torch.zeros_like(theta), **self._form.initial_state(theta)}

    @override
    def advance(
        self, gradient: Tensor, theta: Tensor, state: State, update: UpdateIndex, objective: Objective
    ) -> tuple[Tensor, State]:
        own, number, (num_replicas, num_parameters) = self.cast_like(theta), int(update), theta.shape
        mean = torch.lerp(torch.addcmul(gradient, own.weight_decay, theta), state[MEAN], own.momentum)
        numbers = normal_vectors(self.seeds.tolist(), Stream.DIRECTIONS, number, 2 * num_parameters, like=theta)
        vector, second = numbers.view(num_replicas, 2, num_parameters).unbind(1)
        vector = vector.contiguous()
        product = objective.hessian_product(theta, vector)
        product.addcmul_(own.weight_decay, vector).addcmul_(own.damping, second)
        fitted = self._fitted({name: part for name, part in state.items() if name != MEAN}, vector, product, number)
        step = clip_by_norm(self._form.precondition(fitted, mean), own.step_clip_norm)
        return theta - own.lr * step, {MEAN: mean, **fitted}

    def _fitted(self, state: State, vector: Tensor, product: Tensor, update: int) -> State:
        """The preconditioner after a step of its fit; as it was where that is not finite."""
        before = self._form.scaled(state, vector, product) if update == 0 else state
        rate = self.cast_like(vector).preconditioner_lr
        after = self._form.fitted(before, vector, product, rate, update)
        finite = torch.stack([part.flatten(1).sum(1).isfinite() for part in after.values()]).all(0)
        return {
            name: torch.where(finite.view(-1, *[1] * (part.dim() - 1)), part, state[name])
            for name, part in after.items()
        }
