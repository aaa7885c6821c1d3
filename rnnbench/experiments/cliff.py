"""The loss of a net of one unit over its two parameters, which has a cliff, and gradient descent on it.

    h_t = tanh(w h_{t-1} + b), h_0 = 0.3, t = 1 .. T;  loss (h_T - 0.7)^2

For w > 1 the unit has two stable states; the cliff is where h_0 passes from the basin of attraction of one to that of
the other. After Pascanu, Mikolov and Bengio (2013), figure 6, whose unit is logistic.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

INITIAL_STATE, TARGET = 0.3, 0.7
WEIGHTS, BIASES = (1.0, 2.2), (-0.6, 0.3)
"""Window of the figure. Up to w = 1.4 the minimum is a valley above the cliff; beyond, descent runs into the cliff."""

JUMP = 0.5
"""Descent counts as thrown off the cliff if a step is longer than this, about half of the window."""


@dataclass(frozen=True)
class Descents:
    """Gradient descents from several starts.

    Attributes:
        paths: (w, b) at each step, (steps + 1, starts, 2).
        longest: Length of the longest step of each descent, (starts,).
    """

    paths: Tensor
    longest: Tensor


def loss_and_gradient(points: Tensor, num_steps: int) -> tuple[Tensor, Tensor]:
    """Compute loss (...) and gradient (..., 2) at points (w, b), (..., 2), after T = num_steps; float64."""
    points = points.double().detach().requires_grad_()
    weight, bias = points.unbind(-1)
    state = torch.full_like(weight, INITIAL_STATE)
    for _ in range(num_steps):
        state = torch.tanh(weight * state + bias)
    loss = (state - TARGET).square()
    (gradient,) = torch.autograd.grad(loss.sum(), points)
    return loss.detach(), gradient


def window(count: int) -> Tensor:
    """Return a grid over the window, (count, count, 2); the bias varies along the second axis."""
    axes = [torch.linspace(*ends, count, dtype=torch.float64) for ends in (WEIGHTS, BIASES)]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)


def descend(starts: Tensor, num_steps: int, num_updates: int, lr: float, clip_norm: float | None) -> Descents:
    """Run gradient descent from several starts.

    Args:
        starts: Starting points (w, b), (starts, 2).
        num_steps: T.
        num_updates: Number of steps of the descent.
        lr: Learning rate.
        clip_norm: Maximum norm of the gradient, which is rescaled if it is larger; None: no clipping.
    """
    points, paths = starts.double(), [starts.double()]
    for _ in range(num_updates):
        _, gradient = loss_and_gradient(points, num_steps)
        if clip_norm is not None:
            norm = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)
            gradient = gradient * (clip_norm / norm).clamp(max=1)
        points = points - lr * gradient
        paths.append(points)
    stacked = torch.stack(paths)
    return Descents(stacked, torch.linalg.vector_norm(stacked.diff(dim=0), dim=-1).amax(0))
