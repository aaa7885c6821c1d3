"""Base class of the methods that need one gradient per update."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.metrics import Metric
from rnnbench.objective.objective import Gradient
from rnnbench.optim.base import DrawObjective, Optimizer, State, Update, UpdateIndex
from rnnbench.optim.clipping import clip_by_norm, clip_by_value
from rnnbench.tasks.base import Stream

INFORMATION_FLOW = Metric(
    "penalty/information_flow",
    "mean over sequences and steps of (|g_t J_t|^2 / |g_t|^2 - 1)^2; g_t: dL/dh_t, J_t: dh_t/dh_{t-1}",
    "1",
    "falls; 1: the gradient vanishes within a step; above 1: it grows",
)
"""The penalty on vanishing gradients of `rnnbench.models.information_flow`, without its weight."""


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
    """

    batch_size: int
    lr: Tensor
    weight_decay: Tensor
    clip_norm: Tensor
    clip_value: Tensor
    information_flow: Tensor
    _clips_by_norm: bool = field(init=False, repr=False)
    _clips_by_value: bool = field(init=False, repr=False)
    keeps_flow: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Note whether any replica clips or has the penalty on vanishing gradients."""
        # Read once, here: reading a tensor during an update would wait for the device.
        object.__setattr__(self, "_clips_by_norm", bool(self.clip_norm.isfinite().any()))
        object.__setattr__(self, "_clips_by_value", bool(self.clip_value.isfinite().any()))
        object.__setattr__(self, "keeps_flow", bool((self.information_flow > 0).any()))

    @property
    @override
    def metrics(self) -> Sequence[Metric]:
        return (INFORMATION_FLOW,) if self.keeps_flow else ()

    @property
    def num_drawn_sequences(self) -> int:
        """One batch."""
        return self.batch_size

    def point(self, theta: Tensor, state: State, update: UpdateIndex) -> Tensor:
        """The point at which the gradient is computed: theta, or the look-ahead point of a Nesterov method, (R, P)."""
        return theta

    @abstractmethod
    def advance(self, gradient: Tensor, theta: Tensor, state: State, update: UpdateIndex) -> tuple[Tensor, State]:
        """The parameters after an update, (R, P), and the next state.

        Args:
            gradient: (R, P), clipped; not changed.
            theta: (R, P), before the update; not changed.
            state: Not changed.
            update: Index of this update, from 0; a tensor only where the method says that it `is_capturable`.
        """

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
        """One gradient, clipped, and one step; see `Optimizer.update`."""
        objective = draw(Stream.GRADIENT, self.batch_size)
        gradient = objective.loss_and_gradient(self.point(theta, state, update), with_flow=self.keeps_flow)
        clipped_gradient = self.clip(self._with_flow(gradient))
        next_theta, next_state = self.advance(clipped_gradient, theta, state, update)
        products = torch.zeros(len(theta), dtype=torch.float64)  # on the host, which counts them after every update
        passes = products + self.batch_size
        return Update(
            theta=next_theta,
            state=next_state,
            gradient=gradient,
            clipped_gradient=clipped_gradient,
            products=products,
            sequences=passes,
            forward_passes=passes,
            backward_passes=passes,
            metrics={} if gradient.flow is None else {INFORMATION_FLOW.tag: gradient.flow.penalty},
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
    def advance(self, gradient: Tensor, theta: Tensor, state: State, update: UpdateIndex) -> tuple[Tensor, State]:
        step, following = self.step(gradient, theta, state, update)
        return theta + step, following
