"""Stochastic gradient descent with classical momentum."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.optim.base import State, UpdateIndex
from rnnbench.optim.first_order import FirstOrder


@dataclass(frozen=True, eq=False, kw_only=True)
class Sgd(FirstOrder):
    """v' = momentum v + g; theta' = theta - lr v', with g the gradient plus weight_decay theta.

    As torch.optim.SGD without dampening.

    Attributes:
        momentum: (R, 1); 0: plain gradient descent.
    """

    is_capturable = True

    momentum: Tensor

    def initial_state(self, theta: Tensor) -> State:
        """A velocity of zero."""
        return {"velocity": torch.zeros_like(theta)}

    def step(self, gradient: Tensor, theta: Tensor, state: State, update: UpdateIndex) -> tuple[Tensor, State]:
        """See `FirstOrder.step`."""
        own = self.cast_like(theta)
        velocity = torch.addcmul(gradient, own.momentum, state["velocity"])
        if self.decays:
            velocity.addcmul_(own.weight_decay, theta)
        return velocity * -own.lr, {"velocity": velocity}
