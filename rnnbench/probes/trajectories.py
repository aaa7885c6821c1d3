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

    def first_of(self, replica: int, num_steps: int) -> "Visited":
        """The last steps of the first sequence of one replica of it, R = 1 and b = 1."""
        one, first, last = slice(replica, replica + 1), slice(0, 1), slice(len(self.states) - num_steps, None)
        return Visited(self.model, self.theta[one], self.states[last, one, first], self.inputs[last, one, first])

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


def shortest(view: View, num_sequences: int) -> Tensor:
    """Steps of the shortest of each replica's first sequences, (R,), int64."""
    return view.update.gradient.batch.lengths[:, : num_traced(view, num_sequences)].amin(1)


def sample(view: View, num_sequences: int, num_states: int, num_steps: int = 1) -> tuple[Visited, Tensor]:
    """States of each replica evenly spaced over the shortest of its first sequences.

    Args:
        view: What there is.
        num_sequences: How many sequences.
        num_states: K, how many states of each, T at most; in shorter sequences some are the same.
        num_steps: Steps that are to follow each state in its sequence, as far as it is long enough.

    Returns:
        The states, and the inputs of the steps that follow, (num_steps, K, R, b, d).
    """
    gradient, count = view.update.gradient, num_traced(view, num_sequences)
    inputs = gradient.batch.inputs[:, :, :count]
    last = (shortest(view, num_sequences) - num_steps).clamp(min=0)  # (R,), 0-based
    steps = evenly_spaced(last, min(num_states, len(inputs)))
    replica = torch.arange(len(last), device=last.device)
    states = gradient.trace.states(count)[steps, replica]
    following = torch.stack([inputs[(steps + k).clamp(max=len(inputs) - 1), replica] for k in range(num_steps)])
    return Visited(view.model, view.theta, states, following[0]), following


def evenly_spaced(last: Tensor, count: int) -> Tensor:
    """Whole numbers from 0 to each of some (R,), evenly spaced, (count, R), int64; a single one is 0."""
    share = torch.arange(count, dtype=torch.float64, device=last.device).unsqueeze(1) / max(1, count - 1)
    return (share * last).round().long()


def ends(view: View, num_sequences: int) -> tuple[Visited, Tensor]:
    """The last states of the first sequences up to each one's own end.

    Returns:
        The states before the last K steps, and how many of them are a replica's, (R,), int64: as many as the shortest
        of its sequences has steps. K is the largest of these; what comes before a replica's own means nothing.
    """
    gradient, count = view.update.gradient, num_traced(view, num_sequences)
    lengths, num_steps = gradient.batch.lengths[:, :count], shortest(view, num_sequences)
    last = int(num_steps.max())
    steps = (lengths - last + torch.arange(last, device=lengths.device).view(-1, 1, 1)).clamp(min=0)  # (K, R, b)
    replica = torch.arange(len(lengths), device=lengths.device).view(1, -1, 1)
    sequence = torch.arange(count, device=lengths.device)
    states, inputs = gradient.trace.states(count), gradient.batch.inputs
    visited = Visited(view.model, view.theta, states[steps, replica, sequence], inputs[steps, replica, sequence])
    return visited, num_steps
