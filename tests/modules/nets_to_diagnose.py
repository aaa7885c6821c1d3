"""Nets of torch whose parameters are those of one replica of a model of this package."""

import torch
from torch.nn.utils.rnn import pack_padded_sequence
from torch_cells import torch_weights

from rnnbench.models.gru import Gru
from rnnbench.models.lstm import Lstm
from rnnbench.models.simple_rnn import SimpleRnn

F64 = torch.float64
MODELS = {
    "tanh": SimpleRnn(1, 1, 5, "tanh"),
    "relu": SimpleRnn(1, 1, 5, "relu"),
    "lstm": Lstm(1, 1, 4),
    "gru": Gru(1, 1, 4),
}


def row(model, seed=0):
    """Parameters of one replica, (1, P)."""
    generator = torch.Generator().manual_seed(seed)
    return 0.5 * torch.randn(1, model.num_parameters, generator=generator, dtype=F64)


def weights_of(model, theta):
    """weight_ih, weight_hh, bias_ih, bias_hh of torch."""
    p = {name: view[0] for name, view in model.parameters(theta).items()}
    if isinstance(model, SimpleRnn):
        return p["weight_ih"], p["weight_hh"], p["bias"], torch.zeros_like(p["bias"])
    return torch_weights(model, p)


def options(model):
    return {"nonlinearity": model.nonlinearity.name} if isinstance(model, SimpleRnn) else {}


class Net(torch.nn.Module):
    """A learned initial state, and a readout of the last hidden state."""

    def __init__(self, model, theta):
        super().__init__()
        p = {name: view[0].clone() for name, view in model.parameters(theta).items()}
        self.initial_state = torch.nn.Parameter(p["initial_state"].view(-1, model.hidden_size))
        self.readout = torch.nn.Linear(model.hidden_size, model.output_size, dtype=F64)
        self.readout.weight.data, self.readout.bias.data = p["weight_out"], p["bias_out"]

    def start(self, num_sequences):
        parts = self.initial_state.unsqueeze(1).expand(-1, num_sequences, -1).contiguous()
        return (parts[0], parts[1]) if len(parts) > 1 else parts[0]


class LastOutput(torch.nn.Module):
    """The last output of a net that has one at every step."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, inputs):
        return self.net(inputs)[:, -1]


class LayerNet(Net):
    """By torch.nn.RNN, LSTM or GRU: sequences (B, T, d) -> (B, o)."""

    def __init__(self, model, theta, *, batch_first=True, lengths=None):
        super().__init__(model, theta)
        kind = {SimpleRnn: torch.nn.RNN, Lstm: torch.nn.LSTM, Gru: torch.nn.GRU}[type(model)]
        self.rnn = kind(1, model.hidden_size, dtype=F64, batch_first=batch_first, **options(model))
        with torch.no_grad():
            for own, given in zip(self.rnn.parameters(), weights_of(model, theta), strict=True):
                own.copy_(given)
        self.lengths = lengths

    def forward(self, inputs):
        start = self.start(len(inputs))
        start = tuple(part.unsqueeze(0) for part in start) if isinstance(start, tuple) else start.unsqueeze(0)
        given = inputs if self.rnn.batch_first else inputs.transpose(0, 1)
        if self.lengths is not None:
            given = pack_padded_sequence(given, self.lengths, batch_first=self.rnn.batch_first, enforce_sorted=False)
            last = self.rnn(given, start)[1]
            return self.readout(last[0][0] if isinstance(last, tuple) else last[0])
        hidden = self.rnn(given, start)[0]
        return self.readout(hidden[:, -1] if self.rnn.batch_first else hidden[-1])


class LoopNet(Net):
    """By torch.nn.RNNCell, LSTMCell or GRUCell in a loop, or by another cell that is called like them."""

    def __init__(self, model, theta, cell=None):
        super().__init__(model, theta)
        kind = {SimpleRnn: torch.nn.RNNCell, Lstm: torch.nn.LSTMCell, Gru: torch.nn.GRUCell}[type(model)]
        self.cell = cell or kind(1, model.hidden_size, dtype=F64, **options(model))
        if cell is None:
            with torch.no_grad():
                for own, given in zip(self.cell.parameters(), weights_of(model, theta), strict=True):
                    own.copy_(given)

    def forward(self, inputs):
        state = self.start(len(inputs))
        for step in inputs.unbind(1):
            state = self.cell(step, state)
        return self.readout(state[0] if isinstance(state, tuple) else state)


class OwnCell(torch.nn.Module):
    """A cell of one's own that is a step of a model, with the model's parameters."""

    def __init__(self, model, theta):
        super().__init__()
        self.model = model
        named = model.parameters(theta)
        self.weights = torch.nn.ParameterDict({name: named[name].clone() for name in model.step_parameters})

    def forward(self, inputs, state):
        parts = state if isinstance(state, tuple) else (state,)
        after = self.model.step(dict(self.weights), tuple(part.unsqueeze(0) for part in parts), inputs.unsqueeze(0))
        after = tuple(part.squeeze(0) for part in after)
        return after if len(after) > 1 else after[0]
