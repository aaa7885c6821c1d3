"""The steps that a recurrence took: Jacobians of single steps, and the gradient of the weights by lag.

Letters: T steps, B sequences, s size of the whole state, n hidden units, d inputs; K steps and b sequences that are
looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rnnbench.models.base import Model
from rnnbench.objective.step_gradients import LagShares, StepGradients


class Transitions(Protocol):
    """The steps of a recurrence, state_t = F(state_{t-1}, x_t)."""

    def jacobians(self, steps: Tensor) -> Tensor:
        """Return the Jacobians dstate_t/dstate_{t-1} of some steps of the first sequences, at fixed inputs.

        Args:
            steps: The steps of each sequence, counted from 0, (K, b), int64.

        Returns:
            (K, b, s, s), float64, on the CPU.
        """
        ...

    def by_lag(self) -> LagShares:
        """Return the gradient of the loss with respect to the weights of F by lag, for R = 1 replica."""
        ...


@dataclass(frozen=True)
class Trajectory:
    """What a recurrence did on a batch; float64, on the CPU.

    Attributes:
        states: Whole states 0 .. T, (T + 1, B, s). After the end of a sequence its last state is repeated.
        state_gradients: dL/dstate_t, t = 1 .. T, of the loss of the batch, (T, B, s); 0 after the end of a sequence.
        lengths: Number of steps of each sequence, (B,), int64.
        transitions: The steps.
    """

    states: Tensor
    state_gradients: Tensor
    lengths: Tensor
    transitions: Transitions


@dataclass(frozen=True)
class LayerSteps:
    """The steps of one layer of a stack, as those of a model of this package; all tensors float64, on the CPU.

    Attributes:
        model: A model whose `step`, `state_jacobians` and `input_jacobians` are the layer's.
        theta: Its parameters, (1, P).
        names: Names of the parameters that the layer has.
        states: States of the layer, (T + 1, B, s of the layer).
        inputs: Inputs of the layer, (T, B, d).
        output_gradients: Gradient of the loss with respect to the state that each step returns, including the way
            through the layers above, (T, B, s of the layer); 0 after the end of a sequence.
    """

    model: Model
    theta: Tensor
    names: Sequence[str]
    states: Tensor
    inputs: Tensor
    output_gradients: Tensor

    def by_lag(self, lengths: Tensor) -> LagShares:
        """Return the gradient of the layer's weights by lag; `lengths` are those of the sequences, (B,)."""
        tensors = (self.states, self.inputs, self.output_gradients)
        states, inputs, gradients = (tensor.unsqueeze(1) for tensor in tensors)
        return StepGradients(
            self.model, self.theta, states, inputs, gradients, lengths.unsqueeze(0), self.names
        ).by_lag()


class LayerStack:
    """The steps of stacked layers; the whole state is that of all layers, one after the other.

    Layer l > 1 reads h_t of the layer below at the same step, so its state depends on all earlier states of the layers
    up to l, and the Jacobian is block lower triangular.

    Args:
        layers: The layers, the first one reads the inputs.
        lengths: Number of steps of each sequence, (B,), int64.
    """

    def __init__(self, layers: Sequence[LayerSteps], lengths: Tensor) -> None:
        self.layers, self.lengths = layers, lengths

    def jacobians(self, steps: Tensor) -> Tensor:
        """See `Transitions.jacobians`."""
        sizes = [layer.model.state_size for layer in self.layers]
        if len(sizes) == 1:
            return self._of_layer(0, steps, by_inputs=False)
        jacobians = torch.zeros(*steps.shape, sum(sizes), sum(sizes), dtype=torch.float64)
        start = below = 0
        for index, size in enumerate(sizes):
            rows = slice(start, start + size)
            jacobians[..., rows, rows] = self._of_layer(index, steps, by_inputs=False)
            if index > 0:
                hidden = jacobians[..., below : below + self.layers[index - 1].model.hidden_size, :start]
                jacobians[..., rows, :start] = self._of_layer(index, steps, by_inputs=True) @ hidden
            start, below = start + size, start
        return jacobians

    def by_lag(self) -> LagShares:
        """See `Transitions.by_lag`."""
        return LagShares.joined([layer.by_lag(self.lengths) for layer in self.layers])

    def _of_layer(self, index: int, steps: Tensor, *, by_inputs: bool) -> Tensor:
        """Jacobians of one layer with respect to its own state, (K, b, s, s), or its inputs, (K, b, s, d)."""
        layer, sequences = self.layers[index], torch.arange(steps.shape[1])
        before, given = (tensor[steps, sequences].unsqueeze(1) for tensor in (layer.states, layer.inputs))
        compute = layer.model.input_jacobians if by_inputs else layer.model.state_jacobians
        return compute(layer.theta, before, given).squeeze(1)
