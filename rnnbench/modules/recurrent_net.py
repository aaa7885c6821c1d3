"""A recurrent net in plain torch. This file imports nothing else: `rnnbench export` prints it."""

import torch
from torch import Tensor


class RecurrentNet(torch.nn.Module):
    """A recurrent layer with a learned initial state, and a linear readout of its hidden states.

    Args:
        cell: "rnn", "lstm" or "gru".
        input_size: Number of inputs d.
        hidden_size: Number of hidden units n.
        output_size: Number of outputs o.
        nonlinearity: Nonlinearity of the cell "rnn": "tanh", "relu", "sigmoid" or "linear".
    """

    def __init__(
        self, cell: str, input_size: int, hidden_size: int, output_size: int, nonlinearity: str = "tanh"
    ) -> None:
        super().__init__()
        self.rnn: torch.nn.RNNBase
        if cell == "lstm":
            self.rnn = torch.nn.LSTM(input_size, hidden_size, batch_first=True)
        elif cell == "gru":
            self.rnn = torch.nn.GRU(input_size, hidden_size, batch_first=True)
        elif nonlinearity in ("tanh", "relu"):
            self.rnn = torch.nn.RNN(input_size, hidden_size, nonlinearity=nonlinearity, batch_first=True)
        else:
            self.rnn = OtherRNN(input_size, hidden_size, nonlinearity)
        num_states = 2 if cell == "lstm" else 1  # h_0, and c_0 of an LSTM
        self.initial_state = torch.nn.Parameter(torch.zeros(num_states, hidden_size))
        self.readout = torch.nn.Linear(hidden_size, output_size)

    def forward(self, inputs: Tensor) -> Tensor:
        """Sequences (B, T, d) -> outputs at every step, (B, T, o)."""
        outputs: Tensor = self.readout(self.hidden_states(inputs))
        return outputs

    def hidden_states(self, inputs: Tensor) -> Tensor:
        """Sequences (B, T, d) -> hidden states h_1 .. h_T, (B, T, n)."""
        start = self.initial_state.unsqueeze(1).repeat(1, len(inputs), 1)  # (1 or 2, B, n)
        hidden: Tensor = self.rnn(inputs, start if len(start) == 1 else start.chunk(2))[0]
        return hidden


class OtherRNN(torch.nn.RNNBase):
    """torch.nn.RNN with a nonlinearity that torch lacks: h_t = f(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)."""

    def __init__(self, input_size: int, hidden_size: int, nonlinearity: str) -> None:
        super().__init__("RNN_TANH", input_size, hidden_size, batch_first=True)
        self.function = {"sigmoid": torch.nn.Sigmoid(), "linear": torch.nn.Identity()}[nonlinearity]

    def forward(self, inputs: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, d) and h_0 (1, B, n) -> h_1 .. h_T (B, T, n), and h_T (1, B, n)."""
        weight_ih, weight_hh, bias_ih, bias_hh = self.parameters()
        hidden, states = start[0], []
        for from_inputs in torch.nn.functional.linear(inputs, weight_ih, bias_ih + bias_hh).unbind(1):
            hidden = self.function(from_inputs + hidden @ weight_hh.T)
            states.append(hidden)
        return torch.stack(states, 1), hidden.unsqueeze(0)
