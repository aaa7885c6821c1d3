"""The gated recurrent unit, as torch.nn.GRU defines it."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import Parameters, State
from rnnbench.models.fused_cell import FusedCell


class Gru(FusedCell):
    """The gated recurrent unit with a learned initial state and a linear readout.

        r = sigmoid(W_hr h_{t-1} + W_ir x_t + b_r),  z = sigmoid(W_hz h_{t-1} + W_iz x_t + b_z)
        h_t = (1 - z) tanh(W_in x_t + b_n + r (W_hn h_{t-1} + b_hn)) + z h_{t-1}

    Parameters are laid out as in torch.nn.GRU, blocks in the order r, z, n. `bias` is torch's bias_ih; in the blocks r
    and z it includes bias_hh (only the sum matters). `bias_hn` is the block n of bias_hh, which the reset gate scales.

    Args:
        input_size: d.
        output_size: o.
        hidden_size: n.
        recurrence: Backend of losses and gradients; see `FusedCell`.

    Source: Cho et al. (2014), EMNLP; torch's form has the reset gate after the recurrent product.
    """

    module = torch.nn.GRU
    operation = staticmethod(torch.gru)
    learns_bias_hh = True
    matching_distances = ("squared_error", "cross_entropy")

    @override
    def step_layout(self) -> Mapping[str, tuple[int, ...]]:
        n = self.hidden_size
        return {"weight_hh": (3 * n, n), "weight_ih": (3 * n, self.input_size), "bias": (3 * n,), "bias_hn": (n,)}

    @override
    def step(self, parameters: Parameters, state: State, inputs: Tensor) -> State:
        (hidden,), n = state, self.hidden_size
        from_inputs = torch.baddbmm(parameters["bias"].unsqueeze(1), inputs, parameters["weight_ih"].mT)
        from_hidden = torch.bmm(hidden, parameters["weight_hh"].mT)
        gates = torch.sigmoid(from_inputs[..., : 2 * n] + from_hidden[..., : 2 * n])
        reset_gate, update_gate = gates.chunk(2, -1)
        recurrent = from_hidden[..., 2 * n :] + parameters["bias_hn"].unsqueeze(1)
        candidate = torch.tanh(from_inputs[..., 2 * n :] + reset_gate * recurrent)
        return (candidate + update_gate * (hidden - candidate),)

    @override
    def to_torch(self, parameters: Parameters) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        bias, bias_hn = parameters["bias"], parameters["bias_hn"]
        recurrent_bias = torch.nn.functional.pad(bias_hn, (2 * self.hidden_size, 0))
        return parameters["weight_ih"], parameters["weight_hh"], bias, recurrent_bias

    @override
    def from_torch(self, gradients: Sequence[Tensor]) -> Mapping[str, Tensor]:
        weight_ih, weight_hh, bias, recurrent_bias = gradients
        bias_hn = recurrent_bias[:, 2 * self.hidden_size :]
        return {"weight_hh": weight_hh, "weight_ih": weight_ih, "bias": bias, "bias_hn": bias_hn}

    @override
    def recurrent_weight(self, theta: Tensor) -> Tensor:
        return self.parameters(theta)["weight_hh"].chunk(3, 1)[2]
