"""What a model is: a layout of parameters, and sweeps through time over blocks of sequences.

A model knows its outputs and no loss. Letters: R replicas, P parameters of one replica, T time steps, S outputs of a
sequence, n hidden units, s size of the whole state, d inputs, o outputs; r and b are the replicas and sequences of one
block.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rnnbench.tasks.base import Batch

Parameters = Mapping[str, Tensor]
State = tuple[Tensor, ...]

INITIAL_STATE = "initial_state"
READOUT = frozenset({"weight_out", "bias_out"})
"""Parameters that no step takes, beside the initial state."""


@dataclass(frozen=True)
class BlockShape:
    """Size of the buffers of one block of sequences.

    Attributes:
        replicas: r.
        steps: T.
        sequences: b.
        dtype: Of all floating-point buffers.
        device: Of all buffers.
    """

    replicas: int
    steps: int
    sequences: int
    dtype: torch.dtype
    device: torch.device


class Sweeps(ABC):
    """Sweeps through time over one block of sequences, with the buffers they need.

    The order of use is `load`, `forward`, then either `backward` (once) or `linearized_forward` followed by
    `linearized_backward` (as often as wanted: the states of `forward` are kept). These two are for second-order methods
    alone: sweeps without them serve the others.

    Attributes:
        shape: Of the block.
    """

    shape: BlockShape

    @abstractmethod
    def load(self, batch: Batch) -> None:
        """Take the block's sequences, r replicas and b sequences of at most T steps."""

    @abstractmethod
    def forward(self, weights: object) -> Tensor:
        """Run the net from its initial state; returns the outputs (S, r, b, o) of every sequence."""

    @abstractmethod
    def backward(self, output_gradients: Tensor) -> Tensor:
        """Pull (S, r, b, o) back to the parameters; returns (r, P), new, summed over the block's sequences."""

    def linearized_forward(self, direction: object) -> Tensor:
        """Derivative of the outputs along a direction of the parameters, (S, r, b, o)."""
        raise NotImplementedError(f"{type(self).__name__} has no linearized sweeps")

    def linearized_backward(self, output_gradients: Tensor, structural: Tensor | None, distance: str) -> Tensor:
        """As `backward`, plus the structural-damping term of the last `linearized_forward`.

        Args:
            output_gradients: (S, r, b, o).
            structural: (r, 1, 1) weight of every sequence's term, or None for no term.
            distance: Of the term, one of the model's `matching_distances`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no linearized sweeps")

    @abstractmethod
    def states(self, sequences: int) -> Tensor:
        """Whole states of the first sequences, (T + 1, r, sequences, s), the initial state first; a copy."""

    @abstractmethod
    def state_gradients(self, sequences: int) -> Tensor:
        """What `backward` found for dL/dstate_t, t = 1 .. T, of the first sequences: (T, r, sequences, s); a copy."""


class Model(ABC):
    """A recurrent net without parameters of its own: they come as rows of theta (R, P).

    Attributes:
        input_size: d.
        hidden_size: n.
        output_size: o.
        layout: Name and shape of each parameter, in the order in which they lie in theta.
        matching_distances: Distances between hidden states before and after a step of theta that structural damping can
            use, the model's own first: "cross_entropy", "squared_error"; none: its states cannot be damped.
        num_state_parts: Parts of n units of which the whole state is made, the hidden state first.
    """

    matching_distances: ClassVar[Sequence[str]] = ()
    num_state_parts: ClassVar[int] = 1
    input_size: int
    hidden_size: int
    output_size: int
    layout: Mapping[str, tuple[int, ...]]

    @property
    def state_size(self) -> int:
        """Size s of the whole state, its parts side by side."""
        return self.num_state_parts * self.hidden_size

    @property
    def num_parameters(self) -> int:
        """P, the number of parameters of one replica."""
        return sum(math.prod(shape) for shape in self.layout.values())

    @property
    def step_parameters(self) -> list[str]:
        """Names of the parameters that `step` takes, in the layout's order."""
        return [name for name in self.layout if name != INITIAL_STATE and name not in READOUT]

    def parameters(self, theta: Tensor) -> dict[str, Tensor]:
        """Named views of theta (R, P), each (R, *shape)."""
        views, start = {}, 0
        for name, shape in self.layout.items():
            stop = start + math.prod(shape)
            views[name] = theta[:, start:stop].view(theta.shape[0], *shape)
            start = stop
        return views

    def flatten(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """The row of theta (P,) that holds one replica's parameters, by name."""
        return torch.cat([parameters[name].reshape(-1) for name in self.layout])

    def step(self, parameters: Parameters, state: State, inputs: Tensor) -> State:
        """One step of the state, for diagnostics and for models whose sweeps are made from it.

        It is made of differentiable tensor operations, treats every sequence alone, and returns new tensors.

        Args:
            parameters: By name, (r, *shape).
            state: The parts before the step, (r, b, n) each.
            inputs: (r, b, d).

        Returns:
            The parts after the step, h first.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what its single step is")

    def initial_state(self, parameters: Parameters, num_sequences: int) -> State:
        """The parts of the learned initial state, the same for every sequence: (r, b, n) each, as views."""
        rows = parameters[INITIAL_STATE].unsqueeze(1).expand(-1, num_sequences, -1)
        return rows.chunk(self.num_state_parts, -1)

    def readout(self, parameters: Parameters, hidden: Tensor) -> Tensor:
        """The outputs at some hidden states, (..., r, b, n) -> (..., r, b, o)."""
        return torch.matmul(hidden, parameters["weight_out"].mT) + parameters["bias_out"].unsqueeze(1)

    @abstractmethod
    def weights(self, theta: Tensor) -> object:
        """Operands of the sweeps for theta (R, P), or for a direction in theta's space, laid out for fast products."""

    @abstractmethod
    def slice_weights(self, weights: object, replicas: slice) -> object:
        """The operands of some replicas, as views."""

    @abstractmethod
    def sweeps(self, shape: BlockShape) -> Sweeps:
        """Make the buffers for blocks of a shape."""

    def recurrent_weight(self, theta: Tensor) -> Tensor:
        """W_hh, (R, n, n); where weight_hh has blocks for gates too, the block of the candidate for the new state."""
        return self.parameters(theta)["weight_hh"]

    def next_states(self, theta: Tensor, states: Tensor, inputs: Tensor) -> Tensor:
        """One step from given whole states.

        Args:
            theta: (R, P).
            states: state_{t-1}, (..., R, b, s).
            inputs: x_t, (..., R, b, d).

        Returns:
            state_t, (..., R, b, s).
        """
        parts = rows_of_replicas(states).chunk(self.num_state_parts, -1)
        after = torch.cat(self.step(self.parameters(theta), parts, rows_of_replicas(inputs)), -1)  # (R, ... b, s)
        return after.view(len(after), *states.shape[:-3], -1, self.state_size).movedim(0, -3)

    def state_jacobians(self, theta: Tensor, states: Tensor, inputs: Tensor) -> Tensor:
        """State-transition Jacobians dstate_t/dstate_{t-1}, of the whole state, at given states, for probes.

        Args:
            theta: (R, P).
            states: state_{t-1}, (..., R, b, s): the state *before* the step.
            inputs: x_t, (..., R, b, d).

        Returns:
            (..., R, b, s, s), row i and column j: dstate_t[i] / dstate_{t-1}[j].
        """
        raise NotImplementedError(f"{type(self).__name__} has no state_jacobians")

    def min_gradient_blocks(self, shape: BlockShape) -> int:
        """In how many blocks, at least, the losses and gradients of a batch of a shape are to be had."""
        return 1

    def backend_name(self, device: torch.device, dtype: torch.dtype) -> str:
        """What computes its sweeps on a device, in words for the user.

        Raises:
            ValueError: What was asked for cannot.
        """
        return "torch"

    @abstractmethod
    def block_bytes(self, shape: BlockShape) -> int:
        """Bytes of the buffers that `sweeps(shape)` makes."""


def rows_of_replicas(tensor: Tensor) -> Tensor:
    """States or inputs (..., R, b, k) as rows of each replica, (R, ... b, k)."""
    return tensor.movedim(-3, 0).flatten(1, -2)


def steps_with_outputs(batch: Batch) -> tuple[int, int]:
    """First and last step of a batch at which a sequence may have an output; on a CPU the very ones.

    Elsewhere to look would be to wait for the device, so all steps count.
    """
    steps = batch.output_steps
    if steps is None or steps.device.type != "cpu":
        return 0, len(batch.inputs) - 1
    return int(steps.min()), int(steps.max())
