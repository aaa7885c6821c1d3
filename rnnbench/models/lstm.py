"""The long short-term memory, as torch.nn.LSTM defines it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import Parameters, State
from rnnbench.models.gated_cell import GatedCell
from rnnbench.models.parameters import Layout, Parameter


@dataclass(frozen=True)
class Response:
    """Derivatives of the state (h_t, c_t) at one step, (..., n) each.

    Attributes:
        memory: dc_t / d(preactivation) of the gates i, f and g, (3, ..., n).
        forget: dc_t / dc_{t-1}, the value of the forget gate.
        output: dh_t / d(preactivation of the gate o) at a fixed c_t.
        through_memory: dh_t / dc_t.
    """

    memory: Tensor
    forget: Tensor
    output: Tensor
    through_memory: Tensor

    @classmethod
    def of(cls, gates: Tensor, memory: Tensor) -> "Response":
        """Compute the derivatives from preactivations i, f, g, o, (..., 4n), and c_{t-1}, (..., n)."""
        i, f, g, o = gates.chunk(4, -1)
        i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
        squashed = (f * memory + i * g).tanh()
        by_gate = torch.stack([g * i * (1 - i), memory * f * (1 - f), i * (1 - g * g)])
        return cls(by_gate, f, squashed * o * (1 - o), o * (1 - squashed * squashed))

    def to_gates(self, weight: Tensor) -> Tensor:
        """Return d(h_t, c_t)/dv, (..., 2n, k), for what the gates see as weight @ v, weight (..., 4n, k)."""
        blocks = weight.chunk(4, -2)
        by_gate = [slope.unsqueeze(-1) * block for slope, block in zip(self.memory, blocks[:3], strict=True)]
        memory = by_gate[0] + by_gate[1] + by_gate[2]
        hidden = self.through_memory.unsqueeze(-1) * memory + self.output.unsqueeze(-1) * blocks[3]
        return torch.cat([hidden, memory], -2)

    def to_state(self, weight: Tensor) -> Tensor:
        """Return d(h_t, c_t)/d(h_{t-1}, c_{t-1}), (..., 2n, 2n), from weight_hh, (..., 4n, n)."""
        columns = [torch.diag_embed(self.through_memory * self.forget), torch.diag_embed(self.forget)]
        return torch.cat([self.to_gates(weight), torch.cat(columns, -2)], -1)


class Lstm(GatedCell):
    """The long short-term memory with a learned initial state and a linear readout of h.

        [i, f, g, o] = W_hh h_{t-1} + W_ih x_t + b
        c_t = sigmoid(f) c_{t-1} + sigmoid(i) tanh(g),  h_t = sigmoid(o) tanh(c_t)

    The state is (h, c). Parameters are laid out as in torch.nn.LSTM, blocks in the order i, f, g, o; `bias` is torch's
    bias_ih + bias_hh (only their sum matters); `initial_state` is [h_0; c_0].

    Args:
        input_size: d.
        output_size: o.
        hidden_size: n.
        recurrence: Backend of losses and gradients; see `GatedCell`.

    Source: Hochreiter and Schmidhuber (1997), Neural Computation 9; forget gate: Gers, Schmidhuber and Cummins (2000),
    Neural Computation 12.
    """

    module = torch.nn.LSTM
    operation = staticmethod(torch.lstm)
    native_net = "lstm"
    learns_bias_hh = False
    num_state_parts = 2

    @override
    def step_layout(self) -> Layout:
        n = self.hidden_size
        rows = 4 * n
        return {
            "weight_hh": Parameter((rows, n), "recurrent"),
            "weight_ih": Parameter((rows, self.input_size), "input"),
            "bias": Parameter((rows,), "bias", forget=(n, 2 * n), admit=(0, n)),
        }

    @override
    def step(self, parameters: Parameters, state: State, inputs: Tensor) -> State:
        hidden, memory = state
        gates = torch.baddbmm(parameters["bias"].unsqueeze(1), inputs, parameters["weight_ih"].mT)
        gates = torch.baddbmm(gates, hidden, parameters["weight_hh"].mT)
        input_gate, forget_gate, candidate, output_gate = gates.chunk(4, -1)
        memory = torch.sigmoid(forget_gate) * memory + torch.sigmoid(input_gate) * torch.tanh(candidate)
        return torch.sigmoid(output_gate) * torch.tanh(memory), memory

    @override
    def state_jacobians(self, theta: Tensor, states: Tensor, inputs: Tensor) -> Tensor:
        return self._response(theta, states, inputs).to_state(self.parameters(theta)["weight_hh"].unsqueeze(1))

    @override
    def input_jacobians(self, theta: Tensor, states: Tensor, inputs: Tensor) -> Tensor:
        return self._response(theta, states, inputs).to_gates(self.parameters(theta)["weight_ih"].unsqueeze(1))

    def _response(self, theta: Tensor, states: Tensor, inputs: Tensor) -> "Response":
        p = self.parameters(theta)
        hidden, memory = states.chunk(2, -1)
        gates = inputs @ p["weight_ih"].mT + hidden @ p["weight_hh"].mT + p["bias"].unsqueeze(1)
        return Response.of(gates, memory)

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
