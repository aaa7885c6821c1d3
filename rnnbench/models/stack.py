"""Several layers of a net, one above the other.

Letters: L layers, n hidden units of each, d inputs, o outputs.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import Model, Parameters, State
from rnnbench.models.cell import Cell
from rnnbench.models.parameters import STEP_KINDS, Layout


class Stack(Cell):
    """Layers of one model; each reads the new hidden state of the layer below, the first one the inputs.

        state of layer l at step t  =  step of the layer on its state at t - 1, with h_t of layer l - 1 as its input

    as in torch.nn.RNN, LSTM and GRU with num_layers. The state is that of all layers, the top layer first: so the
    hidden state, which readout and structural damping use, is that of the top layer. Layer l, counted from 0, has the
    parameters of its model with `_l{l}` after their names, as in torch; the weights of the hidden state below are of
    kind "input". The layers' own initial states and readouts are not used.

    Args:
        layers: Models of the same class with n hidden units each, the lowest first; those above it have n inputs.

    Attributes:
        layers: The layers.

    Raises:
        ValueError: The layers have no steps, or need kernels.
    """

    def __init__(self, layers: Sequence[Model]) -> None:
        self.layers, top = tuple(layers), layers[-1]
        name, recurrence = type(top).__name__, getattr(top, "recurrence", "auto")
        if type(top).step is Model.step:
            raise ValueError(f"model.num_layers must be 1, since {name} does not implement step")
        if recurrence not in ("auto", "torch"):
            raise ValueError(
                f"model.recurrence={recurrence} computes one layer; use model.recurrence=auto, or model.num_layers=1"
            )
        self.is_capturable = top.is_capturable
        self.num_state_parts = len(layers) * top.num_state_parts
        super().__init__(layers[0].input_size, top.output_size, top.hidden_size)

    @override
    def step_layout(self) -> Layout:
        return {
            f"{name}_l{number}": parameter
            for number, layer in enumerate(self.layers)
            for name, parameter in layer.layout.items()
            if parameter.kind in STEP_KINDS
        }

    def of_layer(self, parameters: Parameters, number: int) -> dict[str, Tensor]:
        """The parameters of one layer by the names that its model uses; `number` is counted from 0."""
        end = f"_l{number}"
        return {name.removesuffix(end): tensor for name, tensor in parameters.items() if name.endswith(end)}

    @override
    def effective_parameters(self, parameters: Parameters) -> Parameters:
        return {
            f"{name}_l{number}": tensor
            for number, layer in enumerate(self.layers)
            for name, tensor in layer.effective_parameters(self.of_layer(parameters, number)).items()
        }

    @override
    def step(self, parameters: Parameters, state: State, inputs: Tensor) -> State:
        after: State = ()
        size = self.layers[0].num_state_parts
        for number, layer in enumerate(self.layers):
            first = (len(self.layers) - 1 - number) * size
            new = layer.step(self.of_layer(parameters, number), state[first : first + size], inputs)
            inputs, after = new[0], new + after
        return after

    @override
    def recurrent_weight(self, theta: Tensor) -> Tensor:
        """The recurrent weights of all layers as blocks on the diagonal of one matrix, (R, L n, L n), the lowest first.

        So its spectrum is that of all layers.
        """
        n = self.hidden_size
        whole = theta.new_zeros(len(theta), len(self.layers) * n, len(self.layers) * n)
        for number, layer in enumerate(self.layers):
            block = slice(number * n, (number + 1) * n)
            whole[:, block, block] = layer.recurrent_weight(self._theta_of_layer(theta, number))
        return whole

    def _theta_of_layer(self, theta: Tensor, number: int) -> Tensor:
        """The theta of one layer's model, (R, its P); its own initial state and readout, which are not used, are 0."""
        own, layer = self.of_layer(self.parameters(theta), number), self.layers[number]
        pieces = [own.get(name, theta.new_zeros(len(theta), entry.size)) for name, entry in layer.layout.items()]
        return torch.cat([piece.flatten(1) for piece in pieces], 1)
