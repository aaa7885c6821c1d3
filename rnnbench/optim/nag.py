"""Nesterov's accelerated gradient, in two forms."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from rnnbench.optim.base import State, UpdateIndex
from rnnbench.optim.first_order import FirstOrder


@dataclass(frozen=True, eq=False, kw_only=True)
class Nag(FirstOrder):
    """Nesterov's accelerated gradient, with a momentum that changes once.

    Form sutskever13, the paper's: the gradient g is taken at the look-ahead point, and the velocity holds the learning
    rate: v' = momentum v - lr g(theta + momentum v); theta' = theta + v'.

    Form torch, as torch.optim.SGD(nesterov=True): the gradient is taken at theta:
    v' = momentum v + g(theta); theta' = theta - lr (g + momentum v').

    With constant hyperparameters torch's theta is the look-ahead point of the other form, update by update. In both,
    g is the clipped gradient plus weight_decay times the point where it is taken.

    Attributes:
        form: "sutskever13" or "torch".
        momentum: (R, 1), after the first updates.
        initial_momentum: (R, 1), during the first updates; the paper's recurrent nets have 0.9.
        initial_momentum_updates: How many updates initial_momentum holds, in both forms; 1000 in the paper.

    Source: Sutskever, Martens, Dahl and Hinton (2013), ICML.
    """

    is_capturable = True

    form: Literal["sutskever13", "torch"]
    momentum: Tensor
    initial_momentum: Tensor
    initial_momentum_updates: int

    def __post_init__(self) -> None:
        """Check the form.

        Raises:
            ValueError: There is no such form.
        """
        super().__post_init__()
        if self.form not in ("sutskever13", "torch"):
            raise ValueError(f"form must be sutskever13 or torch, got {self.form!r}")

    def momentum_at(self, update: UpdateIndex) -> Tensor:
        """The momentum of an update (counted from 0), (R, 1)."""
        is_early = update < self.initial_momentum_updates
        if isinstance(is_early, Tensor):
            return torch.where(is_early, self.initial_momentum, self.momentum)
        return self.initial_momentum if is_early else self.momentum

    def initial_state(self, theta: Tensor) -> State:
        """A velocity of zero."""
        return {"velocity": torch.zeros_like(theta)}

    def point(self, theta: Tensor, state: State, update: UpdateIndex) -> Tensor:
        """Theta plus momentum times velocity in form sutskever13, theta in form torch."""
        if self.form == "torch":
            return theta
        return torch.addcmul(theta, self.cast_like(theta).momentum_at(update), state["velocity"])

    def step(self, gradient: Tensor, theta: Tensor, state: State, update: UpdateIndex) -> tuple[Tensor, State]:
        """See `FirstOrder.step`."""
        own = self.cast_like(theta)
        momentum = own.momentum_at(update)
        if self.decays:
            gradient = torch.addcmul(gradient, own.weight_decay, self.point(theta, state, update))
        if self.form == "torch":
            velocity = torch.addcmul(gradient, momentum, state["velocity"])
            return torch.addcmul(gradient, momentum, velocity).mul_(-own.lr), {"velocity": velocity}
        velocity = torch.mul(gradient, -own.lr).addcmul_(momentum, state["velocity"])
        return velocity, {"velocity": velocity}
