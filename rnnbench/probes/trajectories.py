"""States that the net visits on the training batch, copied on the training thread, and the Jacobians there.

Letters: R replicas, T time steps, b sequences, s size of the whole state, d inputs, K steps.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.models.base import Model
from rnnbench.probes.base import View

BYTES_AT_ONCE = 2**25
"""Jacobians that are in memory at once, if one step does not take more."""


@dataclass(frozen=True)
class Visited:
    """States and the inputs of the steps that follow them.

    Attributes:
        model: The net.
        theta: Its parameters, (R, P).
        states: Before the steps, (K, R, b, s).
        inputs: Of the steps, (K, R, b, d).
    """

    model: Model
    theta: Tensor
    states: Tensor
    inputs: Tensor

    def on_host(self) -> "Visited":
        """The same in float64 in main memory: eigenvalues of small matrices are slow on a GPU."""
        theta, states, inputs = (part.to("cpu", torch.float64) for part in (self.theta, self.states, self.inputs))
        return Visited(self.model, theta, states, inputs)

    def first_of(self, replica: int) -> "Visited":
        """The first sequence of one replica of it, R = 1 and b = 1."""
        one, first = slice(replica, replica + 1), slice(0, 1)
        return Visited(self.model, self.theta[one], self.states[:, one, first], self.inputs[:, one, first])

    def jacobians(self) -> Tensor:
        """The Jacobians of all steps, (K, R, b, s, s)."""
        return self.model.state_jacobians(self.theta, self.states, self.inputs)


class JacobiansInTurn:
    """The Jacobians of the steps of trajectories, (R, b, s, s) each; a few steps are in memory at a time.

    Args:
        visited: The states, in the order of the steps.
    """

    def __init__(self, visited: Visited) -> None:
        self._visited = visited
        _, num_replicas, num_sequences, size = visited.states.shape
        self._at_once = max(1, BYTES_AT_ONCE // (num_replicas * num_sequences * size**2 * visited.states.itemsize))
        self._steps, self._jacobians = range(0), visited.states.new_empty(0)

    def __len__(self) -> int:
        """Number of steps."""
        return len(self._visited.states)

    def __getitem__(self, step: int, /) -> Tensor:
        """The Jacobian of a step, counted from 0; from the last one backwards where negative.

        Raises:
            IndexError: There is no such step.
        """
        step = range(len(self))[step]
        if step not in self._steps:
            start = step - step % self._at_once
            self._steps = range(start, min(start + self._at_once, len(self)))
            part = slice(start, self._steps.stop)
            whole = self._visited
            self._jacobians = whole.states.new_empty(0)  # those before them go first
            self._jacobians = Visited(whole.model, whole.theta, whole.states[part], whole.inputs[part]).jacobians()
        return self._jacobians[step - self._steps.start]


def num_traced(view: View, num_sequences: int) -> int:
    """How many of the wanted sequences are traced."""
    return min(view.update.gradient.trace.num_sequences, num_sequences)


def shortest(view: View, num_sequences: int) -> int:
    """Steps of the shortest of the first sequences."""
    return int(view.update.gradient.batch.lengths[:, : num_traced(view, num_sequences)].min())


def sample(view: View, num_sequences: int, num_states: int, num_steps: int = 1) -> tuple[Visited, Tensor]:
    """States evenly spaced over the shortest of the first sequences.

    Args:
        view: What there is.
        num_sequences: How many sequences.
        num_states: How many states of each, fewer where the sequences are short.
        num_steps: Steps that are to follow each state in its sequence, as far as it is long enough.

    Returns:
        The states, and the inputs of the steps that follow, (num_steps, K, R, b, d).
    """
    gradient, count = view.update.gradient, num_traced(view, num_sequences)
    last = max(1, shortest(view, num_sequences) - num_steps + 1)
    steps = torch.linspace(1, last, min(num_states, last)).round().long().to(view.theta.device) - 1
    states, inputs = gradient.trace.states(count)[steps], gradient.batch.inputs[:, :, :count]
    following = torch.stack([inputs[(steps + k).clamp(max=len(inputs) - 1)] for k in range(num_steps)])
    return Visited(view.model, view.theta, states, following[0]), following


def ends(view: View, num_sequences: int) -> Visited:
    """The last states of the first sequences up to each one's own end, as many as the shortest of them has steps."""
    gradient, count = view.update.gradient, num_traced(view, num_sequences)
    lengths, num_steps = gradient.batch.lengths[:, :count], shortest(view, num_sequences)
    steps = lengths - num_steps + torch.arange(num_steps, device=lengths.device).view(-1, 1, 1)  # (K, R, b)
    replica = torch.arange(len(lengths), device=lengths.device).view(1, -1, 1)
    sequence = torch.arange(count, device=lengths.device)
    states, inputs = gradient.trace.states(count), gradient.batch.inputs
    return Visited(view.model, view.theta, states[steps, replica, sequence], inputs[steps, replica, sequence])
