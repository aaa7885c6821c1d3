"""The loss of a net of one unit over its two parameters, which has a cliff, and gradient descent on it.

    h_t = tanh(w h_{t-1} + b), h_0 = 0.3, t = 1 .. T;  loss (h_T - 0.7)^2

For w > 1 the unit has two states in which it stays; the cliff lies where h_0 passes from the basin of one into that of
the other. After Pascanu, Mikolov and Bengio (2013), figure 6, whose unit is logistic.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

INITIAL_STATE, TARGET = 0.3, 0.7
WEIGHTS, BIASES = (1.0, 2.2), (-0.6, 0.3)
"""Window that is drawn. Up to w = 1.4 the minimum is a valley above the cliff; beyond, descent runs against it."""

JUMP = 0.5
"""Length of a step, half of the window, by which descent counts as thrown."""


@dataclass(frozen=True)
class Descents:
    """Gradient descents from several starts.

    Attributes:
        paths: (w, b) at each step, (steps + 1, starts, 2).
        longest: Length of each one's longest step, (starts,).
    """

    paths: Tensor
    longest: Tensor


def loss_and_gradient(points: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
    """Loss (...) and gradient (..., 2) at points (..., 2) of (w, b), float64, after T = num_steps."""
    points = points.double().detach().requires_grad_()
    weight, bias = points.unbind(-1)
    state = torch.full_like(weight, INITIAL_STATE)
    for _ in range(num_steps):
        state = torch.tanh(weight * state + bias)
    loss = (state - TARGET).square()
    (gradient,) = torch.autograd.grad(loss.sum(), points)
    return loss.detach(), gradient


def window(count: int) -> Tensor:
    """A grid over the window, (count, count, 2), the bias running first."""
    axes = [torch.linspace(*ends, count, dtype=torch.float64) for ends in (WEIGHTS, BIASES)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def descend(starts: Tensor, num_steps: int, num_updates: int, lr: float, clip_norm: float | None) -> Descents:
    """Gradient descent from starts (starts, 2).

    Args:
        starts: Starting points (w, b).
        num_steps: T.
        num_updates: Number of steps of the descent.
        lr: Learning rate.
        clip_norm: The gradient is rescaled to at most this norm; None: never.
    """
    points, paths = starts.double(), [starts.double()]
    for _ in range(num_updates):
        _, gradient = loss_and_gradient(points, num_steps)
        if clip_norm is not None:
            norm = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)
            gradient = gradient * (clip_norm / norm).clamp(max=1)
        points = points - lr * gradient
        paths.append(points)
    whole = torch.stack(paths)
    return Descents(whole, torch.linalg.vector_norm(whole.diff(dim=0), dim=-1).amax(0))
