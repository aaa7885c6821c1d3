"""Trajectories of nets on held-out sequences: states, Jacobians and state gradients.

Letters: R nets, P parameters of one net, T steps, b sequences, s size of a state.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.losses import loss_of
from rnnbench.models.base import Model
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.base import Batch, Stream, Task


@dataclass(frozen=True)
class Trajectories:
    """Trajectories of R nets, in float64.

    Attributes:
        model: The model.
        theta: Parameters, (R, P).
        batch: The sequences.
        states: States 0 .. T, (T + 1, R, b, s).
        state_gradients: dL/dh_t of the loss of each sequence, t = 1 .. T, (T, R, b, s).
    """

    model: Model
    theta: Tensor
    batch: Batch
    states: Tensor
    state_gradients: Tensor

    def jacobians(self) -> Tensor:
        """Compute dh_t/dh_{t-1} at every step, (T, R, b, s, s)."""
        return self.model.state_jacobians(self.theta, self.states[:-1], self.batch.inputs)

    def preactivation_gradients(self) -> Tensor:
        """Compute dL/da_t of the loss of each sequence, h_t = f(a_t), t = 1 .. T, (T, R, b, s); simple RNN only."""
        assert isinstance(self.model, SimpleRnn)
        return self.state_gradients * self.model.nonlinearity.derivative(self.states[1:])


def follow(
    task: Task, model: Model, theta: Tensor, seeds: Sequence[int], num_sequences: int, *, first_row: int = 0
) -> Trajectories:
    """Run each net on its own sequences from the stream of the probes.

    Args:
        task: Task that draws the sequences.
        model: The model.
        theta: Parameters, (R, P), float64.
        seeds: One seed per net.
        num_sequences: Number of sequences per net, b.
        first_row: Index of the first sequence in the stream; ranges that do not overlap give different sequences.
    """
    engine = Engine(model, 1, "cpu", torch.float64)
    batch = task.replica_batch(seeds, Stream.PROBE, 0, num_sequences, first_row=first_row, dtype=torch.float64)
    gradient = Objective(engine, loss_of(task.loss), batch).loss_and_gradient(theta)
    states = gradient.trace.states(num_sequences)
    state_gradients = gradient.trace.state_gradients(num_sequences) * num_sequences
    return Trajectories(model, theta, batch, states, state_gradients)
