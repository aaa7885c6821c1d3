"""Gradient flossing (Engelken 2023): the Lyapunov exponents of the net are driven to 0 before and during training.

Letters: R replicas, P parameters of one replica, T steps of a task, b replicas of one chunk, s size of the whole state,
d inputs, k exponents.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rnnbench.diagnostics.lyapunov import lyapunov_spectrum
from rnnbench.models.base import Model
from rnnbench.optim.base import Update
from rnnbench.tasks.base import Stream
from rnnbench.training.problem import Problem

MAX_STEPS, NUM_ALIGNING = 55, 15
"""Largest number of steps that the exponents are computed over, as in the author's code, and how many of 55 steps only
align the directions; 16 there."""

STRIDE = 5
"""Number of steps between two QR decompositions; 1 in the author's code."""

BETAS, EPS = (0.9, 0.999), 1e-8

NUMBERS_AT_ONCE = 2**25
"""Largest number of elements that the derivative of one chunk of replicas keeps."""


@dataclass(frozen=True)
class Flossing:
    """Rounds of updates that minimize the mean square of the leading Lyapunov exponents.

    Each update of a round draws one fresh sequence of the task, follows it from the learned initial state, and steps by
    Adam, which starts anew in every round. Only the parameters of the net's step change: neither the initial state nor
    the readout. All is computed in float64. A replica with a singular Jacobian gets NaN.

    Attributes:
        exponents: k.
        updates: Number of updates of a round.
        rounds: Number of rounds: the first before training, each other one `every` updates later.
        every: Number of updates of training between two rounds.
        lr: Learning rate of Adam.

    Source: Engelken (2023), NeurIPS, and the author's code, which has one Adam for all rounds.
    """

    exponents: int
    updates: int
    rounds: int
    every: int
    lr: float

    def is_due(self, update: int) -> bool:
        """Whether a round follows an update, counted from 1; 0: before training."""
        return update % self.every == 0 and update // self.every < self.rounds

    def floss(self, problem: Problem, theta: Tensor, update: int) -> Tensor:
        """The parameters after the round that follows an update.

        Args:
            problem: Problem of the replicas.
            theta: Parameters, (R, P); not changed.
            update: Number of the update, from 1; 0: before training.
        """
        world = problem.world
        if world.rank > 0:  # so that all processes have the same bits
            return world.add_up(torch.zeros_like(theta))
        size = chunk_size(problem.model, self.exponents, num_steps(problem.task.num_steps))
        parts = [range(first, min(first + size, len(theta))) for first in range(0, len(theta), size)]
        return world.add_up(torch.cat([self._floss_rows(problem, theta, update, rows) for rows in parts]))

    def _floss_rows(self, problem: Problem, theta: Tensor, update: int, rows: Sequence[int]) -> Tensor:
        seeds, steps = [problem.seeds[row] for row in rows], num_steps(problem.task.num_steps)
        point = theta[list(rows)].double()
        first, second = torch.zeros_like(point), torch.zeros_like(point)
        for index in range(self.updates):
            batch = problem.task.replica_batch(
                seeds, Stream.FLOSSING, update, 1, first_row=index, dtype=torch.float64, device=theta.device
            )
            _, gradient = penalty_and_gradient(problem.model, point, batch.inputs[:steps], self.exponents)
            first.lerp_(gradient, 1 - BETAS[0])
            second.lerp_(gradient.square(), 1 - BETAS[1])
            mean, scale = (m / (1 - beta ** (index + 1)) for m, beta in zip((first, second), BETAS, strict=True))
            point = point - self.lr * mean / (scale.sqrt() + EPS)
        return point.to(theta.dtype)

    def passes(self, task_steps: int) -> int:
        """Passes over a whole sequence that a round costs: one for the states and one for each exponent.

        Args:
            task_steps: Number of steps T of the task.
        """
        return math.ceil(self.updates * (1 + self.exponents) * num_steps(task_steps) / task_steps)

    def after(self, problem: Problem, update: Update, number: int) -> Update:
        """An update together with the round that follows it, if one is due.

        Args:
            problem: Problem of the replicas.
            update: The update; not changed.
            number: Its number, from 1.
        """
        if not self.is_due(number):
            return update
        passes = self.passes(problem.task.num_steps)
        return replace(
            update,
            theta=self.floss(problem, update.theta, number),
            sequences=update.sequences + passes,
            forward_passes=update.forward_passes + passes,
            backward_passes=update.backward_passes + passes,
        )


def num_steps(task_steps: int) -> int:
    """Number of steps that the exponents are computed over, for a task of T steps."""
    most = min(task_steps, MAX_STEPS)
    return most - most % min(most, STRIDE)


def chunk_size(model: Model, exponents: int, steps: int) -> int:
    """Number of replicas whose penalties are differentiated at once, at least 1."""
    return max(1, NUMBERS_AT_ONCE // _numbers_per_replica(model, exponents, steps))


def num_bytes(model: Model, exponents: int, task_steps: int, num_replicas: int) -> int:
    """Estimate of the memory that the derivative of the exponents needs, for R replicas and a task of T steps."""
    steps = num_steps(task_steps)
    rows = min(num_replicas, chunk_size(model, exponents, steps))
    return 8 * rows * _numbers_per_replica(model, exponents, steps)


def _numbers_per_replica(model: Model, exponents: int, steps: int) -> int:
    return steps * (2 * model.state_size**2 + 6 * exponents * model.state_size)


def exponents_of(model: Model, theta: Tensor, inputs: Tensor, count: int) -> Tensor:
    """The leading Lyapunov exponents along one sequence of each replica, differentiable with respect to theta.

    Args:
        model: Model with `state_jacobians`.
        theta: (R, P), float64.
        inputs: Inputs of the sequences, (steps, R, 1, d); the number of steps is one that `num_steps` returns.
        count: k.

    Returns:
        (R, k), as `rnnbench.diagnostics.lyapunov.lyapunov_spectrum`: largest first.
    """
    state, products = torch.cat(model.initial_state(model.parameters(theta), 1), -1), []
    stride = min(STRIDE, len(inputs))
    for step, now in enumerate(inputs):
        jacobian = model.state_jacobians(theta, state, now)
        state = model.next_states(theta, state, now)
        if step % stride == 0:
            products.append(jacobian)
        else:
            products[-1] = jacobian @ products[-1]
    num_aligning = NUM_ALIGNING * len(inputs) // MAX_STEPS // stride
    return lyapunov_spectrum(products, num_aligning, num_exponents=count).squeeze(-2) / stride


def penalty_and_gradient(model: Model, theta: Tensor, inputs: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean square of the leading exponents, (R,), and its gradient, (R, P), with respect to the net's step.

    Args:
        model: Model with `state_jacobians`.
        theta: (R, P), float64.
        inputs: Inputs of one sequence of each replica, (steps, R, 1, d).
        count: k.
    """
    with torch.enable_grad():
        own = theta.detach().requires_grad_()
        penalty = exponents_of(model, own, inputs, count).square().mean(-1)
        (gradient,) = torch.autograd.grad(penalty.sum(), own)
    moved = set(model.step_parameters)
    kept = [torch.full((entry.size,), name in moved) for name, entry in model.layout.items()]
    return penalty.detach(), torch.where(torch.cat(kept).to(theta.device), gradient, 0.0)
