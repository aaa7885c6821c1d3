"""What the sweeps of cells have in common, whatever runs their steps: the readout, and what it pulls back.

Letters as in `rnnbench.models.cell`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import BlockShape, Sweeps, steps_with_outputs
from rnnbench.tasks.base import Batch

if TYPE_CHECKING:
    from rnnbench.models.cell import Cell


class ReadoutSweeps(Sweeps):
    """Sweeps that know where the outputs of a block's batch lie; a subclass runs the recurrence.

    Attributes:
        first: The first step at which a sequence may have an output.
        last: The last such step; a sequence may end at any of those between them.
        output_steps: (S, r, b) of the outputs; None where every sequence has one at each step from first to last.
        weights: Of the last `forward`, by name.
    """

    def __init__(self, model: "Cell", shape: BlockShape) -> None:
        self.model, self.shape = model, shape
        self.replica_index = torch.arange(shape.replicas, device=shape.device).view(1, -1, 1)
        self.sequence_index = torch.arange(shape.sequences, device=shape.device).view(1, 1, -1)
        self.weights: dict[str, Tensor] = {}

    @override
    def load(self, batch: Batch) -> None:
        self.first, self.last = steps_with_outputs(batch)
        # One output each, all at the same step, are had without an index.
        is_indexed = batch.output_steps is not None and (self.first < self.last or len(batch.output_steps) > 1)
        self.output_steps = batch.output_steps if is_indexed else None

    def _read_out(self, hidden: Tensor) -> Tensor:
        """The outputs (S, r, b, o) at h of the steps from first to last, (steps, r, b, n)."""
        self.output_states = self._at_outputs(hidden)
        return self.model.readout(self.weights, self.output_states)

    def _at_outputs(self, sequence: Tensor) -> Tensor:
        """Rows of the steps from first to last, (steps, r, b, n), at the outputs: (S, r, b, n)."""
        if self.output_steps is None:
            return sequence
        return sequence[self.output_steps - self.first, self.replica_index, self.sequence_index]

    def _inject(self, output_gradients: Tensor) -> Tensor:
        """The readout's dL/dh at the steps from first to last, (steps, r, b, n)."""
        at_outputs = torch.matmul(output_gradients, self.weights["weight_out"])
        if self.output_steps is None:
            return at_outputs
        injected = at_outputs.new_zeros(self.last - self.first + 1, *at_outputs.shape[1:])
        injected[self.output_steps - self.first, self.replica_index, self.sequence_index] = at_outputs
        return injected

    def _collect(self, pieces: Mapping[str, Tensor], output_gradients: Tensor) -> Tensor:
        """Put the gradients of the steps' parameters and the readout's together, (r, P), in the layout's order."""
        states = self.output_states.transpose(0, 1).flatten(1, 2)  # (r, S b, n)
        outputs = output_gradients.transpose(0, 1).flatten(1, 2)  # (r, S b, o)
        readout = {"weight_out": torch.matmul(outputs.mT, states), "bias_out": outputs.sum(1)}
        found = {**pieces, **readout}
        return torch.cat([found[name].flatten(1) for name in self.model.layout], dim=1)


def named(weights: object) -> dict[str, Tensor]:
    """Operands of the sweeps of a cell: its parameters by name."""
    assert isinstance(weights, dict)
    return weights
