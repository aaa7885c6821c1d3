"""The gated recurrent unit, as torch.nn.GRU defines it."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import Parameters, State
from rnnbench.models.gated_cell import GatedCell
from rnnbench.models.parameters import Layout, Parameter


class Gru(GatedCell):
    """The gated recurrent unit with a learned initial state and a linear readout.

        r = sigmoid(W_hr h_{t-1} + W_ir x_t + b_r),  z = sigmoid(W_hz h_{t-1} + W_iz x_t + b_z)
        h_t = (1 - z) tanh(W_in x_t + b_n + r (W_hn h_{t-1} + b_hn)) + z h_{t-1}

    Parameters are laid out as in torch.nn.GRU, blocks in the order r, z, n. `bias` is torch's bias_ih; in the blocks r
    and z it includes bias_hh (only the sum matters). `bias_hn` is the block n of bias_hh, which the reset gate scales.

    Args:
        input_size: d.
        output_size: o.
        hidden_size: n.
        recurrence: Backend of losses and gradients; see `GatedCell`.

    Source: Cho et al. (2014), EMNLP; torch's form has the reset gate after the recurrent product.
    """

    module = torch.nn.GRU
    operation = staticmethod(torch.gru)
    native_net = "gru"
    learns_bias_hh = True

    @override
    def step_layout(self) -> Layout:
        n = self.hidden_size
        return {
            "weight_hh": Parameter((3 * n, n), "recurrent"),
            "weight_ih": Parameter((3 * n, self.input_size), "input"),
            "bias": Parameter((3 * n,), "bias", forget=(n, 2 * n)),
            "bias_hn": Parameter((n,), "bias"),
        }

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
    def state_jacobians(self, theta: Tensor, states: Tensor, inputs: Tensor) -> Tensor:
        weight = self.parameters(theta)["weight_hh"].unsqueeze(1)
        by_gate, update_gate, reset_gate = self._slopes(theta, states, inputs)
        by_gate = torch.stack([*by_gate[:2], by_gate[2] * reset_gate])
        return _weighted(by_gate, weight) + torch.diag_embed(update_gate)

    @override
    def input_jacobians(self, theta: Tensor, states: Tensor, inputs: Tensor) -> Tensor:
        return _weighted(self._slopes(theta, states, inputs)[0], self.parameters(theta)["weight_ih"].unsqueeze(1))

    def _slopes(self, theta: Tensor, states: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return dh_t / d(preactivation) of r, z and n, (3, ..., n), and the gates z and r."""
        p = self.parameters(theta)
        from_inputs = (inputs @ p["weight_ih"].mT + p["bias"].unsqueeze(1)).chunk(3, -1)
        from_hidden = (states @ p["weight_hh"].mT).chunk(3, -1)
        r, z = (torch.sigmoid(from_inputs[k] + from_hidden[k]) for k in (0, 1))
        recurrent = from_hidden[2] + p["bias_hn"].unsqueeze(1)
        candidate = torch.tanh(from_inputs[2] + r * recurrent)
        of_candidate = (1 - z) * (1 - candidate * candidate)
        slopes = [of_candidate * recurrent * r * (1 - r), (states - candidate) * z * (1 - z), of_candidate]
        return torch.stack(slopes), z, r

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


def _weighted(slopes: Tensor, weight: Tensor) -> Tensor:
    """Sum over the gates of slope times weight: slopes (3, ..., n), weight (..., 3n, k) -> (..., n, k)."""
    first, second, third = weight.chunk(3, -2)
    return slopes[0].unsqueeze(-1) * first + slopes[1].unsqueeze(-1) * second + slopes[2].unsqueeze(-1) * third
