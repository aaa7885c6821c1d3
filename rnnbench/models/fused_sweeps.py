"""Sweeps of a cell by torch's operation over a whole sequence, which `torch.nn.LSTM` and `torch.nn.GRU` also use.

The operation runs in cuDNN on a GPU, in oneDNN (float32) or ATen on a CPU. Replicas run one after the other. The
weights of each are stored in parameters of torch's module, whose memory layout suits cuDNN. The operation returns h of
every step, h of the last step separately, and the gradients of its parameters. If the only output is at the last step,
backpropagation starts at that separate h; starting at the h of all steps would add a zero at each. `CellSweeps`
computes everything else: Gauss-Newton products, whole states (of the requested sequences only) and their gradients.

Letters as in `rnnbench.models.cell`.
"""

import itertools
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import INITIAL_STATE, BlockShape, Model, Parameters
from rnnbench.models.cell_sweeps import CellSweeps
from rnnbench.models.readout_sweeps import ReadoutSweeps, named
from rnnbench.tasks.base import Batch


class TorchNet(Model):
    """A model that torch also has as a module over whole sequences."""

    module: ClassVar[type[torch.nn.LSTM] | type[torch.nn.GRU]]
    operation: ClassVar[Callable[..., tuple[Tensor, ...]]]  # inputs, states, weights -> h of all steps, last h
    learns_bias_hh: ClassVar[bool]  # False: zero, since only the sum of torch's two biases matters

    @abstractmethod
    def to_torch(self, parameters: Parameters) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """weight_ih, weight_hh, bias_ih and bias_hh of torch's module, (r, ...) each."""

    @abstractmethod
    def from_torch(self, gradients: Sequence[Tensor]) -> Mapping[str, Tensor]:
        """Gradients of the parameters of `step`, from those of torch's parameters (bias_hh's only if it is learned)."""


class FusedSweeps(ReadoutSweeps):
    """Sweeps of a cell over a block, one call per replica for all time steps."""

    def __init__(self, model: TorchNet, shape: BlockShape) -> None:
        super().__init__(model, shape)
        self.cell = model
        self.operands = [self._empty_operands() for _ in range(shape.replicas)]
        self.leaves = [[operand for operand in each if operand.requires_grad] for each in self.operands]

    def _empty_operands(self) -> list[Tensor]:
        """Uninitialized parameters of torch's module, in its order and memory layout."""
        sizes, dtype = (self.model.input_size, self.model.hidden_size), self.shape.dtype
        # Created on "meta": torch's initialization would advance its random generator.
        net = self.cell.module(*sizes, dtype=dtype, device="meta").to_empty(device=self.shape.device)
        weight_ih, weight_hh, bias_ih, bias_hh = net.parameters()
        return [weight_ih, weight_hh, bias_ih, bias_hh.requires_grad_(self.cell.learns_bias_hh)]

    @override
    def load(self, batch: Batch) -> None:
        super().load(batch)
        self.batch = batch
        self.steps: CellSweeps | None = None
        # Steps after the last output affect no output.
        self.inputs = [inputs.contiguous() for inputs in batch.inputs[: self.last + 1].unbind(1)]

    @override
    def forward(self, weights: object) -> Tensor:
        self.weights, self.steps = named(weights), None
        with torch.no_grad():
            for operands, values in zip(
                zip(*self.operands, strict=True), self.cell.to_torch(self.weights), strict=True
            ):
                for operand, value in zip(operands, values, strict=True):
                    operand.copy_(value)
        size = (-1, 1, self.shape.sequences, self.model.hidden_size)
        parts = self.weights[INITIAL_STATE].detach().reshape(-1, 1, 1, size[-1]).expand(size).contiguous()
        self.starts = [part.requires_grad_() for part in parts.unbind(0)]  # (1, b, n) each, parts of a replica together
        with torch.enable_grad():
            self.hidden = [self._run(replica) for replica in range(self.shape.replicas)]
        return self._read_out(torch.stack([hidden.detach() for hidden in self.hidden], 1))

    def _run(self, replica: int) -> Tensor:
        """States h of one replica at the steps from first to last, (steps, b, n)."""
        parts = self.model.num_state_parts
        start = self.starts[replica * parts : (replica + 1) * parts]
        state = start if parts > 1 else start[0]
        # With biases, one layer, no dropout, in training, in one direction, time before sequences.
        settings = (True, 1, 0.0, True, False, False)
        hidden, end, *_ = self.cell.operation(self.inputs[replica], state, self.operands[replica], *settings)
        return end if self.first == self.last else hidden[self.first :]

    @override
    def backward(self, output_gradients: Tensor) -> Tensor:
        self.output_gradients = output_gradients
        leaves = [*itertools.chain(*self.leaves), *self.starts]
        gradients_of_leaves = torch.autograd.grad(self.hidden, leaves, self._inject(output_gradients).unbind(1))
        self.hidden = []  # frees their graph
        num_kinds = len(self.leaves[0])
        of_weights = gradients_of_leaves[: -len(self.starts)]
        of_starts = gradients_of_leaves[-len(self.starts) :]
        gradients = [torch.stack(of_weights[kind::num_kinds]) for kind in range(num_kinds)]
        initial = torch.stack(of_starts).sum((1, 2)).view(self.shape.replicas, -1)
        return self._collect({**self.cell.from_torch(gradients), INITIAL_STATE: initial}, output_gradients)

    def _step_by_step(self, sequences: int) -> CellSweeps:
        """Single-step sweeps of at least the first sequences of the block, at the weights of the last `forward`."""
        if self.steps is None or self.steps.shape.sequences < sequences:
            self.steps = CellSweeps(self.model, replace(self.shape, sequences=sequences))
            self.steps.load(self.batch.rows(0, sequences))
            self.steps.forward(self.weights)
        return self.steps

    @override
    def linearized_forward(self, direction: object, *, for_damping: bool = True) -> Tensor:
        self.hidden = []  # frees the graph: no gradient follows
        return self._step_by_step(self.shape.sequences).linearized_forward(direction)

    @override
    def linearized_backward(self, output_gradients: Tensor, structural: Tensor | None) -> Tensor:
        steps = self._step_by_step(self.shape.sequences)
        return steps.linearized_backward(output_gradients, structural)

    @override
    def states(self, sequences: int) -> Tensor:
        return self._step_by_step(sequences).states(sequences)

    @override
    def state_gradients(self, sequences: int) -> Tensor:
        steps = self._step_by_step(sequences)
        steps.backward(self.output_gradients[:, :, : steps.shape.sequences])
        return steps.state_gradients(sequences)
