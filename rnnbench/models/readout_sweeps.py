"""Base class of the sweeps of cells, for every backend: the readout and its backward pass.

Letters as in `rnnbench.models.cell`.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import BIAS_OUT, WEIGHT_OUT, BlockShape, Model, Sweeps, steps_with_outputs
from rnnbench.tasks.base import Batch


class ReadoutSweeps(Sweeps):
    """Readout at the output steps of the loaded batch; a subclass runs the recurrence.

    Attributes:
        first: The first step at which a sequence may have an output.
        last: The last such step; sequences may end at any step between the two.
        output_steps: (S, r, b), steps of the outputs; None if every sequence has one at each step from first to last.
        weights: Weights of the last `forward`, by name.
    """

    def __init__(self, model: Model, shape: BlockShape) -> None:
        self.model, self.shape = model, shape
        self.replica_index = torch.arange(shape.replicas, device=shape.device).view(1, -1, 1)
        self.sequence_index = torch.arange(shape.sequences, device=shape.device).view(1, 1, -1)
        self.weights: dict[str, Tensor] = {}

    @override
    def load(self, batch: Batch) -> None:
        self.first, self.last = steps_with_outputs(batch)
        # If each sequence has one output, all at the same step, no index is needed.
        is_indexed = batch.output_steps is not None and (self.first < self.last or len(batch.output_steps) > 1)
        self.output_steps = batch.output_steps if is_indexed else None

    def _read_out(self, hidden: Tensor) -> Tensor:
        """Outputs (S, r, b, o) from h of the steps from first to last, (steps, r, b, n)."""
        self.output_states = self._at_outputs(hidden)
        return self.model.readout(self.weights, self.output_states)

    def _at_outputs(self, sequence: Tensor) -> Tensor:
        """Select the output steps from the steps first to last: (steps, r, b, n) -> (S, r, b, n)."""
        if self.output_steps is None:
            return sequence
        return sequence[self.output_steps - self.first, self.replica_index, self.sequence_index]

    def _inject(self, output_gradients: Tensor) -> Tensor:
        """The readout's dL/dh at the steps from first to last, (steps, r, b, n)."""
        at_outputs = torch.matmul(output_gradients, self.weights[WEIGHT_OUT])
        if self.output_steps is None:
            return at_outputs
        injected = at_outputs.new_zeros(self.last - self.first + 1, *at_outputs.shape[1:])
        injected[self.output_steps - self.first, self.replica_index, self.sequence_index] = at_outputs
        return injected

    def _collect(self, pieces: Mapping[str, Tensor], output_gradients: Tensor) -> Tensor:
        """Concatenate the gradients of step parameters and readout, (r, P), in the layout's order."""
        states = self.output_states.transpose(0, 1).flatten(1, 2)  # (r, S b, n)
        outputs = output_gradients.transpose(0, 1).flatten(1, 2)  # (r, S b, o)
        readout = {WEIGHT_OUT: torch.matmul(outputs.mT, states), BIAS_OUT: outputs.sum(1)}
        gradients = {**pieces, **readout}
        return torch.cat([gradients[name].flatten(1) for name in self.model.layout], dim=1)


def named(weights: object) -> dict[str, Tensor]:
    """Narrow the weights of a cell's sweeps to their type: parameters by name."""
    assert isinstance(weights, dict)
    return weights
