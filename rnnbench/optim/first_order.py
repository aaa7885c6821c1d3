"""Base class of the methods that need one gradient per update."""

import copy
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.metrics import Metric
from rnnbench.objective.objective import Gradient, Objective
from rnnbench.optim.base import DrawObjective, Optimizer, State, Update, UpdateIndex
from rnnbench.optim.clipping import clip_by_norm, clip_by_value
from rnnbench.optim.gradient_noise import GradientNoise
from rnnbench.optim.schedules.base import Schedule
from rnnbench.optim.weight_average import AVERAGE_ERROR_RATE, AVERAGE_LOSS, WeightAverage
from rnnbench.tasks.base import Stream

INFORMATION_FLOW = Metric(
    "penalty/information_flow",
    "mean over sequences and steps of (|g_t J_t|^2 / |g_t|^2 - 1)^2; g_t: dL/dh_t, J_t: dh_t/dh_{t-1}",
    "1",
    "falls; 1: the gradient vanishes within a step; above 1: it grows",
)
"""The penalty on vanishing gradients of `rnnbench.models.information_flow`, without its weight."""

PASSES_OF_A_HESSIAN_PRODUCT = 2
"""Forward and backward passes in a product with the Hessian: those of a gradient, and of its derivative."""

LEARNING_RATE = Metric("optim/lr", "learning rate of this update", "that of optim.lr", "follows the schedule")

AVERAGE = "weight_average"
"""Name of the average of the weights in the state, (R, P)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class GradientMethod(Optimizer):
    """Base of the methods that need one gradient per update.

    Evaluations and records are of theta, never of a look-ahead point. The gradient is clipped before weight decay is
    added, as in torch, where clipping precedes the optimizer.

    Attributes:
        batch_size: Sequences per update and replica.
        lr: (R, 1), learning rate.
        weight_decay: (R, 1), factor of the parameters that is added to the gradient.
        clip_norm: (R, 1), largest Euclidean norm of a replica's gradient; infinity: no clipping.
        clip_value: (R, 1), largest absolute value of an entry of the gradient; infinity: no clipping.
        information_flow: (R, 1), weight of the penalty on vanishing gradients; its gradient is added before clipping,
            as Pascanu et al. (2013) do.
        schedule: Factor of the learning rate at each update; None: 1.
        noise: Noise that is added to the clipped gradient; None: none.
        average: Average of the weights, which is kept beside them; None: none.
        num_products: Products with the Hessian of the batch in an update.
    """

    batch_size: int
    lr: Tensor
    weight_decay: Tensor
    clip_norm: Tensor
    clip_value: Tensor
    information_flow: Tensor
    schedule: Schedule | None = None
    noise: GradientNoise | None = None
    average: WeightAverage | None = None
    num_products: ClassVar[int] = 0
    _clips_by_norm: bool = field(init=False, repr=False)
    _clips_by_value: bool = field(init=False, repr=False)
    decays: bool = field(init=False, repr=False)
    keeps_flow: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Note whether any replica clips, decays its weights, or has the penalty on vanishing gradients."""
        # Read once, here: reading a tensor during an update would wait for the device.
        object.__setattr__(self, "_clips_by_norm", bool(self.clip_norm.isfinite().any()))
        object.__setattr__(self, "_clips_by_value", bool(self.clip_value.isfinite().any()))
        object.__setattr__(self, "decays", bool((self.weight_decay != 0).any()))
        object.__setattr__(self, "keeps_flow", bool((self.information_flow > 0).any()))
        if self.noise is not None:  # which is drawn by the host
            object.__setattr__(self, "is_capturable", False)

    @property
    @override
    def metrics(self) -> Sequence[Metric]:
        flow = (INFORMATION_FLOW,) if self.keeps_flow else ()
        return flow if self.schedule is None else (*flow, LEARNING_RATE)

    @property
    @override
    def evaluation_metrics(self) -> Sequence[Metric]:
        return () if self.average is None else (AVERAGE_LOSS, AVERAGE_ERROR_RATE)

    @property
    def num_drawn_sequences(self) -> int:
        """One batch."""
        return self.batch_size

    @override
    def first_state(self, theta: Tensor) -> State:
        state = super().first_state(theta)
        return state if self.average is None else {**state, AVERAGE: theta.clone()}

    @override
    def averaged(self, state: State) -> Tensor | None:
        return state.get(AVERAGE)

    def point(self, theta: Tensor, state: State, update: UpdateIndex) -> Tensor:
        """The point at which the gradient is computed: theta, or the look-ahead point of a Nesterov method, (R, P)."""
        return theta

    @abstractmethod
    def advance(
        self, gradient: Tensor, theta: Tensor, state: State, update: UpdateIndex, objective: Objective
    ) -> tuple[Tensor, State]:
        """The parameters after an update, (R, P), and the next state.

        Args:
            gradient: (R, P), clipped; not changed.
            theta: (R, P), before the update; not changed.
            state: Not changed.
            update: Index of this update, from 0; a tensor only where the method says that it `is_capturable`.
            objective: The batch of the gradient.
        """

    def lr_at(self, update: UpdateIndex, device: torch.device) -> Tensor | None:
        """The learning rate of an update, (R, 1), float64, on a device; None: there is no schedule."""
        if self.schedule is None:
            return None
        in_float64 = self.cast_like(torch.empty(0, dtype=torch.float64, device=device))
        return in_float64.lr * self.schedule.on(device).factor(update)

    def with_lr(self, lr: Tensor, theta: Tensor) -> Self:
        """The same method with another learning rate, for one update.

        Args:
            lr: (R, 1), float64, on theta's device.
            theta: Parameters, (R, P).
        """
        method, cast = copy.copy(self), copy.copy(self.cast_like(theta))
        for twin, value in ((method, lr), (cast, lr.to(theta.dtype))):
            object.__setattr__(twin, "lr", value)
            object.__setattr__(twin, "_casts", {(theta.dtype, theta.device): cast})
        return method

    @override
    def replicas(self, index: Tensor) -> Self:
        schedule = None if self.schedule is None else self.schedule.replicas(index)
        noise = None if self.noise is None else self.noise.replicas(index)
        average = None if self.average is None else self.average.replicas(index)
        return replace(super().replicas(index), schedule=schedule, noise=noise, average=average)

    def clip(self, gradient: Tensor) -> Tensor:
        """The gradient (R, P) after clipping; the gradient itself if no replica clips.

        A replica clips by norm or by value, never both; so the order of the two does not matter.
        """
        own = self.cast_like(gradient)
        if self._clips_by_norm:
            gradient = clip_by_norm(gradient, own.clip_norm)
        if self._clips_by_value:
            gradient = clip_by_value(gradient, own.clip_value)
        return gradient

    def update(self, theta: Tensor, state: State, update: UpdateIndex, draw: DrawObjective) -> Update:
        """One gradient, clipped, with noise if there is any, and one step; see `Optimizer.update`."""
        objective = draw(Stream.GRADIENT, self.batch_size)
        gradient = objective.loss_and_gradient(self.point(theta, state, update), with_flow=self.keeps_flow)
        clipped_gradient = self.clip(self._with_flow(gradient))
        lr = self.lr_at(update, theta.device)
        method = self if lr is None else self.with_lr(lr, theta)
        noisy = clipped_gradient if self.noise is None else self.noise.add(clipped_gradient, int(update))
        next_theta, next_state = method.advance(noisy, theta, state, update, objective)
        if self.average is not None:  # into the same mapping, by which a method may recognize its state
            next_state[AVERAGE] = self.average.after(state[AVERAGE], next_theta, update)
        metrics = {} if gradient.flow is None else {INFORMATION_FLOW.tag: gradient.flow.penalty}
        # On the host, which counts them after every update.
        products = torch.full((len(theta),), self.num_products, dtype=torch.float64)
        passes = self.batch_size * (1 + PASSES_OF_A_HESSIAN_PRODUCT * products)
        return Update(
            theta=next_theta,
            state=next_state,
            gradient=gradient,
            clipped_gradient=clipped_gradient,
            products=products,
            sequences=passes,
            forward_passes=passes,
            backward_passes=passes,
            metrics=metrics if lr is None else {**metrics, LEARNING_RATE.tag: lr[:, 0]},
        )

    def _with_flow(self, gradient: Gradient) -> Tensor:
        """The gradient of the loss and of the penalty on vanishing gradients, (R, P)."""
        if gradient.flow is None:
            return gradient.gradient
        weight = self.cast_like(gradient.gradient).information_flow
        return torch.addcmul(gradient.gradient, weight, gradient.flow.gradient)


class FirstOrder(GradientMethod):
    """Base of the methods that are a pure function from gradient to step."""

    @abstractmethod
    def step(self, gradient: Tensor, theta: Tensor, state: State, update: UpdateIndex) -> tuple[Tensor, State]:
        """The change of theta, (R, P), and the next state.

        Args:
            gradient: (R, P), clipped; not changed.
            theta: (R, P), before the update (weight decay needs it); not changed.
            state: Not changed.
            update: Index of this update, from 0 (momentum schedules and bias corrections need it); a tensor only where
                the method says that it `is_capturable`.
        """

    @override
    def advance(
        self, gradient: Tensor, theta: Tensor, state: State, update: UpdateIndex, objective: Objective
    ) -> tuple[Tensor, State]:
        step, following = self.step(gradient, theta, state, update)
        return theta + step, following
