"""The long short-term memory, as torch.nn.LSTM defines it."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import Parameters, State
from rnnbench.models.fused_cell import FusedCell


class Lstm(FusedCell):
    """The long short-term memory with a learned initial state and a linear readout of h.

        [i, f, g, o] = W_hh h_{t-1} + W_ih x_t + b
        c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g),  h_t = sigmoid(o) tanh(c_t)

    The state is (h, c). Parameters are laid out as in torch.nn.LSTM, blocks in the order i, f, g, o; `bias` is torch's
    bias_ih + bias_hh (only their sum matters); `initial_state` is [h_0; c_0].

    Args:
        input_size: d.
        output_size: o.
        hidden_size: n.
        recurrence: Backend of losses and gradients; see `FusedCell`.

    Source: Hochreiter and Schmidhuber (1997), Neural Computation 9; forget gate: Gers, Schmidhuber and Cummins (2000),
    Neural Computation 12.
    """

    module = torch.nn.LSTM
    operation = staticmethod(torch.lstm)
    learns_bias_hh = False
    num_state_parts = 2
    matching_distances = ("squared_error", "cross_entropy")

    @override
    def step_layout(self) -> Mapping[str, tuple[int, ...]]:
        rows = 4 * self.hidden_size
        return {"weight_hh": (rows, self.hidden_size), "weight_ih": (rows, self.input_size), "bias": (rows,)}

    @override
    def step(self, parameters: Parameters, state: State, inputs: Tensor) -> State:
        hidden, memory = state
        gates = torch.baddbmm(parameters["bias"].unsqueeze(1), inputs, parameters["weight_ih"].mT)
        gates = torch.baddbmm(gates, hidden, parameters["weight_hh"].mT)
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, -1)
        memory = torch.sigmoid(forget_gate) * memory + torch.sigmoid(input_gate) * torch.tanh(candidate)
        return torch.sigmoid(output_gate) * torch.tanh(memory), memory

    @override
    def to_torch(self, parameters: Parameters) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        bias = parameters["bias"]
        return parameters["weight_ih"], parameters["weight_hh"], bias, torch.zeros_like(bias)

    @override
    def from_torch(self, gradients: Sequence[Tensor]) -> Mapping[str, Tensor]:
        weight_ih, weight_hh, bias, *_ = gradients
        return {"weight_hh": weight_hh, "weight_ih": weight_ih, "bias": bias}

    @override
    def recurrent_weight(self, theta: Tensor) -> Tensor:
        return self.parameters(theta)["weight_hh"].chunk(4, 1)[2]
