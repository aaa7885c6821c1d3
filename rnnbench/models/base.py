"""Contract of a model: a layout of parameters, and sweeps over blocks of sequences.

A sweep is one pass through time, forward or backward. A model is independent of the loss. Letters: R replicas,
P parameters of one replica, T time steps, S outputs of a sequence, n hidden units, s size of the whole state, d inputs,
o outputs; r and b are the replicas and sequences of one block.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rnnbench.losses import Loss
from rnnbench.models.information_flow import InformationFlow
from rnnbench.models.parameters import STEP_KINDS, Layout
from rnnbench.tasks.base import Batch

Parameters = Mapping[str, Tensor]
State = tuple[Tensor, ...]
Share = Callable[[Callable[[], None], int], None]
"""Runs a function on several threads at once, at most as many as the second argument says, and waits for all."""

INITIAL_STATE, WEIGHT_OUT, BIAS_OUT = "initial_state", "weight_out", "bias_out"
"""Names of the parameters that `Model.initial_state` and `Model.readout` use."""


def run_alone(function: Callable[[], None], most_threads: int) -> None:
    """Run a function on the calling thread alone; see `Share`."""
    function()


@dataclass(frozen=True)
class BlockShape:
    """Shape of one block of sequences, which determines the size of its buffers.

    Attributes:
        replicas: r.
        steps: T.
        sequences: b.
        dtype: Type of all floating-point buffers.
        device: Device of all buffers.
    """

    replicas: int
    steps: int
    sequences: int
    dtype: torch.dtype
    device: torch.device


class Sweeps(ABC):
    """Sweeps through time over one block of sequences, and their buffers.

    Call `load`, `forward`, then either `backward` (once) or `linearized_forward` followed by `linearized_backward` (any
    number of times: the states of `forward` are kept). Only second-order methods need the last two.

    Attributes:
        shape: Shape of the block.
    """

    shape: BlockShape

    @abstractmethod
    def load(self, batch: Batch) -> None:
        """Load the sequences of the block: r replicas, b sequences of at most T steps."""

    @abstractmethod
    def forward(self, weights: object) -> Tensor:
        """Run the net from its initial state; returns the outputs (S, r, b, o) of every sequence."""

    def outputs(self, weights: object) -> Tensor:
        """The outputs alone, as `forward` returns them; nothing is kept for other sweeps."""
        return self.forward(weights)

    @abstractmethod
    def backward(self, output_gradients: Tensor) -> Tensor:
        """Backpropagate output gradients (S, r, b, o); returns the gradient (r, P), new, summed over sequences."""

    def linearized_forward(self, direction: object, *, for_damping: bool = True) -> Tensor:
        """Directional derivative of the outputs with respect to the parameters (a J v product), (S, r, b, o).

        Args:
            direction: `Model.weights` of the direction.
            for_damping: Whether `linearized_backward` will need the derivatives of the states.
        """
        raise NotImplementedError(f"{type(self).__name__} has no linearized sweeps")

    def linearized_backward(self, output_gradients: Tensor, structural: Tensor | None) -> Tensor:
        """Backpropagate like `backward`, and add the structural damping of the last `linearized_forward`.

        Args:
            output_gradients: (S, r, b, o).
            structural: (r, 1, 1), weight of the damping term of every sequence; None for no damping.
        """
        raise NotImplementedError(f"{type(self).__name__} has no linearized sweeps")

    def loss_and_gradient(self, weights: object, loss: Loss, targets: Tensor, divisor: int) -> tuple[Tensor, Tensor]:
        """Run `forward` and `backward`.

        Args:
            weights: As in `forward`.
            loss: Loss of one output.
            targets: Targets of the block's outputs.
            divisor: Divisor of the losses' derivatives.

        Returns:
            The sums of the losses, (r,), float64, not divided; the gradient of the divided sum, (r, P).
        """
        outputs = self.forward(weights)
        values = loss.values(outputs, targets).sum((0, 2), dtype=torch.float64)
        return values, self.backward(loss.gradient(outputs, targets).div_(divisor))

    def curvature_product(
        self,
        direction: object,
        loss: Loss,
        outputs: Tensor,
        divisor: int,
        structural: Tensor | None = None,
    ) -> Tensor:
        """Run `linearized_forward` and `linearized_backward`: a Gauss-Newton product, (r, P), new.

        Args:
            direction: As in `linearized_forward`.
            loss: Loss of one output.
            outputs: What `forward` returned, (S, r, b, o).
            divisor: Divisor of the losses' Hessians.
            structural: As in `linearized_backward`.
        """
        tangents = self.linearized_forward(direction, for_damping=structural is not None)
        return self.linearized_backward(loss.hessian_product(outputs, tangents).div_(divisor), structural)

    def hessian_product(self, direction: object, loss: Loss, outputs: Tensor, targets: Tensor, divisor: int) -> Tensor:
        """The Hessian of the divided sum of the losses, times a direction, (r, P), new.

        Call `forward` before; any number of products may follow. Only models with `has_hessian_sweeps` have it.

        Args:
            direction: `Model.weights` of the direction.
            loss: Loss of one output, with a `hessian_product`.
            outputs: What `forward` returned, (S, r, b, o).
            targets: Targets of the block's outputs.
            divisor: Divisor of the losses.

        Source: Pearlmutter (1994), Neural Computation 6.
        """
        raise NotImplementedError(f"{type(self).__name__} has no Hessian products")

    @abstractmethod
    def states(self, sequences: int) -> Tensor:
        """Whole states of the first sequences, (T + 1, r, sequences, s), the initial state first; a copy."""

    @abstractmethod
    def state_gradients(self, sequences: int) -> Tensor:
        """dL/dstate_t of the last `backward`, t = 1 .. T, for the first sequences: (T, r, sequences, s); a copy."""


class Model(ABC):
    """A recurrent net. It stores no parameters; they are passed as rows of theta (R, P).

    Attributes:
        input_size: Number of inputs d.
        hidden_size: Number of hidden units n.
        output_size: Number of outputs o.
        layout: Shape and kind of each parameter by name, in the order in which they lie in theta.
        has_structural_damping: Whether its linearized sweeps have the structural damping of hidden states.
        num_state_parts: Number of parts of the whole state, n units each; the hidden state is the first.
        has_hessian_sweeps: Whether its sweeps have `Sweeps.hessian_product`; otherwise Hessian products are computed by
            automatic differentiation of `step`.
        is_capturable: Whether its sweeps can be captured as CUDA graphs.
    """

    has_structural_damping: ClassVar[bool] = False
    num_state_parts: int = 1
    has_hessian_sweeps: ClassVar[bool] = False
    is_capturable: bool = True
    input_size: int
    hidden_size: int
    output_size: int
    layout: Layout

    @property
    def state_size(self) -> int:
        """Size s of the whole state, its parts side by side."""
        return self.num_state_parts * self.hidden_size

    @property
    def num_parameters(self) -> int:
        """P, the number of parameters of one replica."""
        return sum(parameter.size for parameter in self.layout.values())

    @property
    def step_parameters(self) -> list[str]:
        """Names of the parameters that `step` takes, in the layout's order."""
        return [name for name, parameter in self.layout.items() if parameter.kind in STEP_KINDS]

    def parameters(self, theta: Tensor) -> dict[str, Tensor]:
        """Named views of theta (R, P), each (R, *shape)."""
        views, start = {}, 0
        for name, parameter in self.layout.items():
            stop = start + parameter.size
            views[name] = theta[:, start:stop].view(theta.shape[0], *parameter.shape)
            start = stop
        return views

    def flatten(self, parameters: Mapping[str, Tensor]) -> Tensor:
        """The row of theta (P,) that holds one replica's parameters, by name."""
        return torch.cat([parameters[name].reshape(-1) for name in self.layout])

    def effective_parameters(self, parameters: Parameters) -> Parameters:
        """What `step` takes, from the parameters by name, (r, *shape): by default the parameters themselves.

        A model whose steps use a function of its parameters, such as an orthogonal matrix, computes it here, once for
        all steps. Use differentiable tensor operations that do not mix replicas, and return new tensors.
        """
        return parameters

    def step(self, parameters: Parameters, state: State, inputs: Tensor) -> State:
        """Advance the state by one step; used for diagnostics and by models whose sweeps are derived from `step`.

        Use differentiable tensor operations, do not mix sequences, and return new tensors.

        Args:
            parameters: What `effective_parameters` returns.
            state: Parts of the state before the step, (r, b, n) each.
            inputs: (r, b, d).

        Returns:
            Parts of the state after the step, h first.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement step")

    def initial_state(self, parameters: Parameters, num_sequences: int) -> State:
        """Parts of the learned initial state, equal for all sequences: (r, b, n) each, as views."""
        rows = parameters[INITIAL_STATE].unsqueeze(1).expand(-1, num_sequences, -1)
        return rows.chunk(self.num_state_parts, -1)

    def readout(self, parameters: Parameters, hidden: Tensor) -> Tensor:
        """Outputs of hidden states, (..., r, b, n) -> (..., r, b, o)."""
        return torch.matmul(hidden, parameters[WEIGHT_OUT].mT) + parameters[BIAS_OUT].unsqueeze(1)

    @abstractmethod
    def weights(self, theta: Tensor) -> object:
        """Weights of the sweeps in a layout for fast products, from theta or a direction in its space, (R, P)."""

    @abstractmethod
    def slice_weights(self, weights: object, replicas: slice) -> object:
        """The weights of a slice of the replicas, as views."""

    @abstractmethod
    def sweeps(self, shape: BlockShape, share: Share = run_alone) -> Sweeps:
        """Allocate the sweeps and their buffers for blocks of a shape.

        Args:
            shape: Shape of the blocks.
            share: Runs a part of the work on several threads, for sweeps that can be divided so.
        """

    def recurrent_weight(self, theta: Tensor) -> Tensor:
        """The square block of the recurrent weights that carries the state, (R, n, n), for probes.

        By default the last block of the last parameter of kind "recurrent": where a step has gates, their weights
        usually come before those of the candidate state. A model with another order overrides this.

        Raises:
            NotImplementedError: The model has no parameter of kind "recurrent".
        """
        names = [name for name, parameter in self.layout.items() if parameter.kind == "recurrent"]
        if not names:
            raise NotImplementedError(f'{type(self).__name__} has no parameter of kind "recurrent"')
        return self.parameters(theta)[names[-1]][:, -self.hidden_size :]

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
        parameters = self.effective_parameters(self.parameters(theta))
        after = torch.cat(self.step(parameters, parts, rows_of_replicas(inputs)), -1)  # (R, ... b, s)
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

    def input_jacobians(self, theta: Tensor, states: Tensor, inputs: Tensor) -> Tensor:
        """Derivatives of the whole state with respect to the inputs of the same step, dstate_t/dx_t.

        Through them the layers of a stacked net are coupled.

        Args:
            theta: (R, P).
            states: state_{t-1}, (..., R, b, s): the state *before* the step.
            inputs: x_t, (..., R, b, d).

        Returns:
            (..., R, b, s, d).
        """
        raise NotImplementedError(f"{type(self).__name__} has no input_jacobians")

    def information_flow(self, theta: Tensor, states: Tensor, state_gradients: Tensor) -> InformationFlow:
        """The penalty on vanishing gradients, with its immediate gradient: that with constant states and gradients.

        Args:
            theta: (R, P).
            states: Whole states 0 .. T, (T + 1, R, b, s).
            state_gradients: dL/dstate_t of the steps 1 .. T, (T, R, b, s).
        """
        raise NotImplementedError(f"{type(self).__name__} has no information_flow")

    def ignores_threads(self, device: torch.device, dtype: torch.dtype) -> bool:
        """Whether its sweeps share one block among all threads, so that results do not depend on their number."""
        return False

    def min_gradient_blocks(self, shape: BlockShape) -> int:
        """Minimum number of blocks into which a gradient batch of this shape is split."""
        return 1

    def backend_name(self, device: torch.device, dtype: torch.dtype) -> str:
        """Name of the backend that computes the sweeps on a device, for messages.

        Raises:
            ValueError: The configured backend does not run on this device.
        """
        return "torch"

    @abstractmethod
    def block_bytes(self, shape: BlockShape) -> int:
        """Bytes of the buffers that `sweeps(shape)` allocates."""


def rows_of_replicas(tensor: Tensor) -> Tensor:
    """States or inputs (..., R, b, k) as rows of each replica, (R, ... b, k)."""
    return tensor.movedim(-3, 0).flatten(1, -2)


def steps_with_outputs(batch: Batch) -> tuple[int, int]:
    """First and last step at which a sequence of the batch may have an output.

    Exact on a CPU. On other devices reading the steps would synchronize, so the range covers all steps.
    """
    steps = batch.output_steps
    if steps is None or steps.device.type != "cpu":
        return 0, len(batch.inputs) - 1
    return int(steps.min()), int(steps.max())
