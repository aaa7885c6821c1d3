"""Sweeps of a cell by torch's operation for a whole sequence, the one under `torch.nn.LSTM` and `torch.nn.GRU`.

It is cuDNN's on a GPU, oneDNN's (float32) or ATen's on a CPU. One replica comes after the other, each with its weights
in a module of torch's own, which lays them out in memory as cuDNN wants them. The operation gives h of every step and
the gradients of its parameters. For all else, that is for products, whole states and their gradients, a block is
stepped through by `CellSweeps`; of whole states only as many sequences as are asked for.

Letters as in `rnnbench.models.cell`.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import INITIAL_STATE, BlockShape
from rnnbench.models.cell_sweeps import CellSweeps
from rnnbench.models.readout_sweeps import ReadoutSweeps, named
from rnnbench.tasks.base import Batch

if TYPE_CHECKING:
    from rnnbench.models.fused_cell import FusedCell


class FusedSweeps(ReadoutSweeps):
    """Sweeps of a cell over a block, one call for a whole sequence and replica."""

    def __init__(self, model: "FusedCell", shape: BlockShape) -> None:
        super().__init__(model, shape)
        self.cell = model
        # Made without numbers: torch's initial weights would be drawn from its generator, for nothing.
        self.nets = [
            model.module(model.input_size, model.hidden_size, dtype=shape.dtype, device="meta").to_empty(
                device=shape.device
            )
            for _ in range(shape.replicas)
        ]
        self.leaves = [list(net.parameters()) for net in self.nets]

    @override
    def load(self, batch: Batch) -> None:
        super().load(batch)
        self.batch = batch
        self.steps: CellSweeps | None = None
        # Steps after the last output count for nothing.
        self.inputs = [inputs.contiguous() for inputs in batch.inputs[: self.last + 1].unbind(1)]

    @override
    def forward(self, weights: object) -> Tensor:
        self.weights, self.steps = named(weights), None
        with torch.no_grad():
            for leaves, values in zip(self.leaves, zip(*self.cell.to_torch(self.weights), strict=True), strict=True):
                for leaf, value in zip(leaves, values, strict=True):
                    leaf.copy_(value)
        self.starts = [row.detach().requires_grad_() for row in self.weights[INITIAL_STATE]]
        with torch.enable_grad():
            self.hidden = [self._run(*each) for each in zip(self.nets, self.inputs, self.starts, strict=True)]
        return self._read_out(torch.stack([hidden.detach() for hidden in self.hidden], 1))

    def _run(self, net: torch.nn.Module, inputs: Tensor, start: Tensor) -> Tensor:
        """States h of one replica at the steps from first to last, (steps, b, n)."""
        size = (self.model.num_state_parts, 1, self.shape.sequences, self.model.hidden_size)
        state = start.view(size[0], 1, 1, -1).expand(size).contiguous()
        hidden: Tensor = net(inputs, state[0] if len(state) == 1 else tuple(state))[0]
        return hidden[self.first :]

    @override
    def backward(self, output_gradients: Tensor) -> Tensor:
        self.output_gradients = output_gradients
        inputs = [leaf for leaves, start in zip(self.leaves, self.starts, strict=True) for leaf in (*leaves, start)]
        found = torch.autograd.grad(self.hidden, inputs, self._inject(output_gradients).unbind(1))
        self.hidden = []  # their graph has served
        count = len(inputs) // self.shape.replicas
        *gradients, initial = (torch.stack(found[kind::count]) for kind in range(count))
        return self._collect({**self.cell.from_torch(gradients), INITIAL_STATE: initial}, output_gradients)

    def _step_by_step(self, sequences: int) -> CellSweeps:
        """Sweeps of the block's first sequences, or of more, at the weights of the last `forward`."""
        if self.steps is None or self.steps.shape.sequences < sequences:
            self.steps = CellSweeps(self.model, replace(self.shape, sequences=sequences))
            self.steps.load(self.batch.rows(0, sequences))
            self.steps.forward(self.weights)
        return self.steps

    @override
    def linearized_forward(self, direction: object) -> Tensor:
        self.hidden = []  # no gradient is wanted any more
        return self._step_by_step(self.shape.sequences).linearized_forward(direction)

    @override
    def linearized_backward(self, output_gradients: Tensor, structural: Tensor | None, distance: str) -> Tensor:
        steps = self._step_by_step(self.shape.sequences)
        return steps.linearized_backward(output_gradients, structural, distance)

    @override
    def states(self, sequences: int) -> Tensor:
        return self._step_by_step(sequences).states(sequences)

    @override
    def state_gradients(self, sequences: int) -> Tensor:
        steps = self._step_by_step(sequences)
        steps.backward(self.output_gradients[:, :, : steps.shape.sequences])
        return steps.state_gradients(sequences)
