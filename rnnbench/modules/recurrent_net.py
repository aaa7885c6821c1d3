"""A recurrent net in plain torch. This file imports nothing else: `rnnbench export` prints it."""

import torch
from torch import Tensor


class RecurrentNet(torch.nn.Module):
    """One or more recurrent layers with learned initial states, and a linear readout of the last layer's hidden states.

    Args:
        cell: "rnn", "lstm" or "gru".
        input_size: Number of inputs d.
        hidden_size: Number of hidden units n.
        output_size: Number of outputs o.
        nonlinearity: Nonlinearity of the cell "rnn": "tanh", "relu", "sigmoid" or "linear".
        num_layers: Number of layers, of hidden_size units each.
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        output_size: int,
        nonlinearity: str = "tanh",
        num_layers: int = 1,
    ) -> None:
        super().__init__()
        self.rnn: torch.nn.RNNBase
        if cell == "lstm":
            self.rnn = torch.nn.LSTM(input_size, hidden_size, num_layers, batch_first=True)
        elif cell == "gru":
            self.rnn = torch.nn.GRU(input_size, hidden_size, num_layers, batch_first=True)
        elif nonlinearity in ("tanh", "relu"):
            self.rnn = torch.nn.RNN(input_size, hidden_size, num_layers, nonlinearity=nonlinearity, batch_first=True)
        else:
            self.rnn = OtherRNN(input_size, hidden_size, nonlinearity, num_layers)
        self.num_parts = 2 if cell == "lstm" else 1  # h_0 of each layer, and c_0 of an LSTM
        self.initial_state = torch.nn.Parameter(torch.zeros(self.num_parts * num_layers, hidden_size))
        self.readout = torch.nn.Linear(hidden_size, output_size)

    def forward(self, inputs: Tensor) -> Tensor:
        """Sequences (B, T, d) -> outputs at every step, (B, T, o)."""
        outputs: Tensor = self.readout(self.hidden_states(inputs))
        return outputs

    def hidden_states(self, inputs: Tensor) -> Tensor:
        """Sequences (B, T, d) -> hidden states h_1 .. h_T, (B, T, n)."""
        start = self.initial_state.unsqueeze(1).repeat(1, len(inputs), 1)  # (parts and layers, B, n)
        hidden: Tensor = self.rnn(inputs, start if self.num_parts == 1 else start.chunk(2))[0]
        return hidden


class OtherRNN(torch.nn.RNNBase):
    """torch.nn.RNN with a nonlinearity that torch lacks: h_t = f(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)."""

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str, num_layers: int = 1) -> None:
        super().__init__("RNN_TANH", input_size, hidden_size, num_layers, batch_first=True)
        self.function = {"sigmoid": torch.nn.Sigmoid(), "linear": torch.nn.Identity()}[nonlinearity]

    def forward(self, inputs: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, d) and h_0 of each layer (L, B, n) -> h_1 .. h_T of the last (B, T, n), and h_T of each (L, B, n)."""
        last = []
        for hidden, (weight_ih, weight_hh, bias_ih, bias_hh) in zip(start, self.all_weights, strict=True):
            states = []
            for from_inputs in torch.nn.functional.linear(inputs, weight_ih, bias_ih + bias_hh).unbind(1):
                hidden = self.function(from_inputs + hidden @ weight_hh.T)
                states.append(hidden)
            inputs = torch.stack(states, 1)
            last.append(hidden)
        return inputs, torch.stack(last)
