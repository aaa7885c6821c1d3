"""The first-order optimizers under test, three replicas with hyperparameters of their own, and what they minimize."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from rnnbench.optim.adam import Adam
from rnnbench.optim.nag import Nag
from rnnbench.optim.sgd import Sgd
from rnnbench.tasks.base import Stream

NUM_PARAMETERS = 7
NUM_UPDATES = 50
MIXING = torch.randn(NUM_PARAMETERS, 9, generator=torch.Generator().manual_seed(5), dtype=torch.float64) / 3
SHIFT = torch.linspace(-2, 2, 9, dtype=torch.float64)


def loss_function(theta):
    """Sum of log cosh, (R,): smooth, not quadratic, of bounded gradient, so that no step size makes it explode."""
    return torch.cosh(theta @ MIXING.to(theta) - SHIFT.to(theta)).log().sum(1)


@dataclass(frozen=True)
class Gradient:
    loss: Tensor
    gradient: Tensor
    flow: None = None


@dataclass(frozen=True)
class Objective:
    """What `FirstOrder.update` uses of an objective."""

    size: int

    def loss_and_gradient(self, theta, *, with_flow=False):
        slope = torch.tanh(theta @ MIXING.to(theta) - SHIFT.to(theta))
        return Gradient(loss_function(theta), slope @ MIXING.to(theta).T)


def draw(stream, batch_size):
    assert stream is Stream.GRADIENT
    return Objective(batch_size)


class SameForAll:
    """A problem whose draws serve any replicas."""

    def draw(self, update):
        return draw

    def replicas(self, index):
        return self


def start(dtype=torch.float64):
    """Theta of three replicas, (3, NUM_PARAMETERS)."""
    source = torch.Generator().manual_seed(11)
    return (3 * torch.randn(3, NUM_PARAMETERS, generator=source, dtype=torch.float64)).to(dtype)


def column(*values):
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


INFINITY = float("inf")
NEVER = column(INFINITY, INFINITY, INFINITY)
SHARED = {
    "batch_size": 20,
    "lr": column(0.02, 0.1, 0.3),
    "weight_decay": column(0.0, 0.1, 0.02),
    "clip_norm": column(INFINITY, 0.5, INFINITY),
    "clip_value": column(INFINITY, INFINITY, 0.1),
    "information_flow": column(0.0, 0.0, 0.0),
}
MOMENTUM = column(0.5, 0.95, 0.99)
NAG = {"momentum": MOMENTUM, "initial_momentum": column(0.1, 0.3, 0.9), "initial_momentum_updates": 5}
OPTIMIZERS = {
    "sgd": Sgd(**SHARED, momentum=MOMENTUM),
    "nag_torch": Nag(**SHARED, **NAG, form="torch"),
    "nag_sutskever13": Nag(**SHARED, **NAG, form="sutskever13"),
    "adam": Adam(
        **SHARED,
        betas=torch.tensor([[0.9, 0.999], [0.5, 0.9], [0.8, 0.95]]).double(),
        eps=column(1e-8, 1e-2, 1e-4),
    ),
}
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)


def trajectory(optimizer, theta, num_updates=NUM_UPDATES):
    """Theta after each update, (num_updates, R, P)."""
    state = optimizer.initial_state(theta)
    path = []
    for update in range(num_updates):
        result = optimizer.update(theta, state, update, draw)
        theta, state = result.theta, result.state
        path.append(theta)
    return torch.stack(path)
