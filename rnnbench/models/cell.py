"""Recurrent nets defined by one step of a cell; automatic differentiation provides their sweeps.

    state_t = step(parameters, state_{t-1}, x_t),  t = 1 .. T, from a learned state_0;
    z = W_out h + b_out at the output steps, where h is the state's first part.

Letters: R and r replicas, B and b sequences, T time steps, S outputs of a sequence, n hidden units, s size of the whole
state, d inputs, o outputs, P parameters.
"""

from abc import abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import (
    BIAS_OUT,
    INITIAL_STATE,
    WEIGHT_OUT,
    BlockShape,
    Model,
    Parameters,
    Share,
    State,
    Sweeps,
    rows_of_replicas,
    run_alone,
)
from rnnbench.models.cell_sweeps import CellSweeps
from rnnbench.models.parameters import STEP_KINDS, Layout, Parameter, check_layout

NUM_OTHER_BUFFERS = 2
"""Numbers per hidden unit, step and sequence in addition to saved tensors: a tangent and an injected gradient."""

FRAGMENTATION = 1.5
"""Memory used per saved byte: 1.3 (LSTM) to 1.5 (GRU) measured; temporaries of the steps fragment glibc's heap."""


class Cell(Model):
    """A recurrent net defined by its step, with a learned initial state and a linear readout.

    A subclass implements `step` and `step_layout`; `CellSweeps` does the rest. The state is a tuple of
    `num_state_parts` tensors of n units each. The first part is the hidden state h; readout and structural damping use
    no other part. A state in one tensor is the concatenation of its parts, s = num_state_parts * n.

    Args:
        input_size: d.
        output_size: o.
        hidden_size: n.

    Raises:
        ValueError: A parameter of `step_layout` has a wrong shape or kind.
    """

    has_structural_damping = True

    def __init__(self, input_size: int, output_size: int, hidden_size: int) -> None:
        self.input_size, self.output_size, self.hidden_size = input_size, output_size, hidden_size
        around = {
            INITIAL_STATE: Parameter((self.state_size,), "initial_state"),
            WEIGHT_OUT: Parameter((output_size, hidden_size), "readout"),
            BIAS_OUT: Parameter((output_size,), "readout_bias"),
        }
        step = self.step_layout()
        self._check_step_layout(step, around)
        self.layout = {**step, **around}

    def _check_step_layout(self, step: Layout, around: Layout) -> None:
        """Check the parameters of `step` in addition to those that every cell has."""
        if not isinstance(step, Mapping):
            raise ValueError(f"step_layout must return a Parameter for each name, got {step!r}")
        check_layout(step, self.hidden_size)
        for name, parameter in step.items():
            if name in around:
                raise ValueError(f"every cell has {name} already; give the parameter of step another name")
            if parameter.kind not in STEP_KINDS:
                raise ValueError(f"{name}: kind must be one of {', '.join(STEP_KINDS)}, got {parameter.kind!r}")

    @abstractmethod
    def step_layout(self) -> Layout:
        """Shape and kind of each parameter of `step` by name, in theta's order; the names are free.

        Only `input_size`, `output_size` and `hidden_size` are set when it is called.
        """

    @abstractmethod
    @override
    def step(self, parameters: Parameters, state: State, inputs: Tensor) -> State:
        """One step of the state: see `Model.step`."""

    @override
    def weights(self, theta: Tensor) -> dict[str, Tensor] | Tensor:
        return self.parameters(theta)

    @override
    def slice_weights(self, weights: object, replicas: slice) -> dict[str, Tensor] | Tensor:
        assert isinstance(weights, dict)
        return {name: weight[replicas] for name, weight in weights.items()}

    @override
    def sweeps(self, shape: BlockShape, share: Share = run_alone) -> Sweeps:
        return CellSweeps(self, shape)

    @override
    def state_jacobians(self, theta: Tensor, states: Tensor, inputs: Tensor) -> Tensor:
        is_differentiated = torch.is_grad_enabled() and theta.requires_grad
        with torch.enable_grad():
            before = rows_of_replicas(states if is_differentiated else states.detach())
            before = before if before.requires_grad else before.requires_grad_()
            after = self.next_states(theta, before, rows_of_replicas(inputs))
            stacked = rows_by_autograd(after, before, create_graph=is_differentiated)  # (R, ... b, s, s)
        num_replicas, _, s, _ = stacked.shape
        return stacked.view(num_replicas, *states.shape[:-3], -1, s, s).movedim(0, -4)

    @override
    def block_bytes(self, shape: BlockShape) -> int:
        saved = self._num_saved(2) - self._num_saved(1)  # the difference excludes what does not grow with the batch
        per_row = saved + self.input_size + NUM_OTHER_BUFFERS * self.hidden_size
        rows = shape.replicas * shape.steps * shape.sequences
        return round(FRAGMENTATION * rows * per_row * shape.dtype.itemsize)

    def _num_saved(self, num_sequences: int) -> int:
        """Numbers that one step of one replica saves for its backward pass."""
        storages: dict[int, tuple[Tensor, int]] = {}

        def keep(tensor: Tensor) -> Tensor:
            # Storing the tensor keeps its address from being reused.
            storages[tensor.untyped_storage().data_ptr()] = tensor, tensor.untyped_storage().nbytes()
            return tensor

        cpu = torch.device("cpu")  # independent of the default device
        parameters = self.parameters(torch.zeros(1, self.num_parameters, requires_grad=True, device=cpu))
        rows = torch.zeros(1, num_sequences, self.state_size, requires_grad=True, device=cpu)
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            parts = [part.clone() for part in rows.chunk(self.num_state_parts, -1)]
            inputs = torch.zeros(1, num_sequences, self.input_size, device=cpu)
            self.step(self.effective_parameters(parameters), tuple(parts), inputs)
        return sum(num_bytes for _, num_bytes in storages.values()) // torch.float32.itemsize


def rows_by_autograd(after: Tensor, before: Tensor, *, create_graph: bool = False) -> Tensor:
    """Jacobians of states (..., s) with respect to the states before, (..., s), each of which affects its own alone.

    Args:
        after: (..., s).
        before: (..., s), from which `after` was computed.
        create_graph: Whether the Jacobians can be differentiated.

    Returns:
        (..., s, s), row i and column j: dafter[i] / dbefore[j].

    Cost: s backward passes over all states.
    """
    units = torch.eye(after.shape[-1], dtype=after.dtype, device=after.device)
    rows = [
        torch.autograd.grad(after, before, unit.expand_as(after), retain_graph=True, create_graph=create_graph)[0]
        for unit in units
    ]
    return torch.stack(rows, -2)
