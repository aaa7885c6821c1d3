"""States that the net visits on the training batch, copied on the training thread, and the Jacobians at these states.

Letters: R replicas, T time steps, b sequences, s size of the full state, d inputs, K steps.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.diagnostics.jacobians_in_turn import JacobiansInTurn
from rnnbench.models.base import Model
from rnnbench.probes.base import View


@dataclass(frozen=True)
class Visited:
    """States, each with the input of the step that follows it.

    Attributes:
        model: The net.
        theta: Parameters of the net, (R, P).
        states: States before the steps, (K, R, b, s).
        inputs: Inputs of the steps, (K, R, b, d).
    """

    model: Model
    theta: Tensor
    states: Tensor
    inputs: Tensor

    def on_host(self) -> "Visited":
        """Return a float64 copy in main memory: eigenvalues of small matrices are slow on a GPU."""
        theta, states, inputs = (part.to("cpu", torch.float64) for part in (self.theta, self.states, self.inputs))
        return Visited(self.model, theta, states, inputs)

    def first_of(self, replica: int, num_steps: int) -> "Visited":
        """Return the last steps of one replica's first sequence, R = 1 and b = 1."""
        one, first, last = slice(replica, replica + 1), slice(0, 1), slice(len(self.states) - num_steps, None)
        return Visited(self.model, self.theta[one], self.states[last, one, first], self.inputs[last, one, first])

    def jacobians(self) -> Tensor:
        """Return the Jacobians of all steps, (K, R, b, s, s)."""
        return self.model.state_jacobians(self.theta, self.states, self.inputs)

    def jacobians_in_turn(self) -> JacobiansInTurn:
        """Return the Jacobians of each step, (R, b, s, s), as a sequence that computes them when they are read."""
        num_steps, num_replicas, num_sequences, size = self.states.shape
        bytes_per_step = num_replicas * num_sequences * size**2 * self.states.itemsize
        return JacobiansInTurn(num_steps, bytes_per_step, lambda steps: self._during(steps).jacobians())

    def _during(self, steps: slice) -> "Visited":
        return Visited(self.model, self.theta, self.states[steps], self.inputs[steps])


def num_traced(view: View, num_sequences: int) -> int:
    """Return how many of the requested sequences are traced."""
    return min(view.update.gradient.trace.num_sequences, num_sequences)


def shortest(view: View, num_sequences: int) -> Tensor:
    """Return the length of the shortest of each replica's first sequences, (R,), int64."""
    return view.update.gradient.batch.lengths[:, : num_traced(view, num_sequences)].amin(1)


def sample(view: View, num_sequences: int, num_states: int, num_steps: int = 1) -> tuple[Visited, Tensor]:
    """Sample states of each replica, evenly spaced over the length of the shortest of its first sequences.

    Args:
        view: Data of the update.
        num_sequences: Number of sequences.
        num_states: K, number of states per sequence, at most T; in shorter sequences some states are repeated.
        num_steps: Number of steps that should follow each state in its sequence, if the sequence is long enough.

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
    """Return `count` evenly spaced integers from 0 to each of `last` (R,), as (count, R), int64; a single one is 0."""
    share = torch.arange(count, dtype=torch.float64, device=last.device).unsqueeze(1) / max(1, count - 1)
    return (share * last).round().long()


def ends(view: View, num_sequences: int) -> tuple[Visited, Tensor]:
    """Return the states before the last K steps of each replica's first sequences.

    Returns:
        The states, and the number of valid steps of each replica, (R,), int64: the length of its shortest sequence. K
        is the largest of these numbers. The valid steps are the last ones; earlier entries are meaningless.
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
