"""What a look into a net refuses, in one line, and what it leaves as it was."""

import re

import pytest
import torch

from rnnbench.modules.diagnose import diagnose


def loss(outputs):
    return outputs.square().mean()


class Readout(torch.nn.Module):
    """The last output of layers, through one more layer."""

    def __init__(self, layers, *more):
        super().__init__()
        self.layers, self.head = layers, torch.nn.Sequential(*more)

    def forward(self, inputs):
        return self.head(self.layers(inputs)[0][:, -1])


class Loop(torch.nn.Module):
    def __init__(self, cell, between=lambda state: state, start=torch.zeros):
        super().__init__()
        self.cell, self.between, self.first = cell, between, start

    def forward(self, inputs):
        state = self.first(len(inputs), 3)
        for step in inputs.unbind(1):
            state = self.between(self.cell(step, state))
        return state


class Cell(torch.nn.Module):
    def __init__(self, *more):
        super().__init__()
        self.linear, self.more = torch.nn.Linear(5, 3), torch.nn.Sequential(*more)

    def forward(self, inputs, state):
        state = torch.zeros(len(inputs), 3) if state is None else state
        return self.more(torch.tanh(self.linear(torch.cat([inputs, state], 1))))


class Noisy(Cell):
    def forward(self, inputs, state):
        return super().forward(inputs, state) + torch.randn(len(inputs), 3)


class Detached(Cell):
    def forward(self, inputs, state):
        return super().forward(inputs, state).detach()


class Forgetful(Cell):
    def forward(self, inputs, state):
        return super().forward(inputs, state.detach())


class Shifted(torch.nn.GRU):
    def forward(self, inputs, hx=None):
        outputs, last = super().forward(inputs, hx)
        return outputs + 1, last


class Twice(Readout):
    """Layers that go on over the second half of a sequence."""

    def __init__(self):
        super().__init__(torch.nn.GRU(2, 3, batch_first=True))

    def forward(self, inputs):
        first, second = inputs.chunk(2, 1)
        return self.layers(second, self.layers(first)[1])[0][:, -1]


def gru(**keys):
    return Readout(torch.nn.GRU(2, 3, batch_first=True, **keys))


def looped(cell, **keys):
    module = Loop(cell, **keys)
    return module, {"recurrence": module.cell}


def not_finite():
    module = Readout(torch.nn.RNN(2, 3, batch_first=True, nonlinearity="relu"))
    for parameter in module.parameters():
        parameter.data.fill_(1e30)
    return module


def of_two():
    module = torch.nn.Module()
    module.encoder, module.decoder = torch.nn.LSTM(2, 3), torch.nn.GRUCell(2, 3)
    return module


INPUTS = torch.ones(4, 6, 2)
REFUSED = {
    "no recurrence": (lambda: torch.nn.Linear(2, 1), {}, "the module has no torch.nn.RNN, LSTM, GRU, or cell of these"),
    "two": (
        of_two,
        {},
        "has 2 recurrences: choose one, as in recurrence=module.encoder (LSTM), module.decoder (GRUCell)",
    ),
    "another's": (gru, {"recurrence": torch.nn.GRU(2, 3)}, "recurrence=GRU is not part of the module"),
    "bidirectional": (lambda: gru(bidirectional=True), {}, "module.layers is bidirectional"),
    "projections": (lambda: torch.nn.LSTM(2, 3, proj_size=2), {}, "module has projections (proj_size=2)"),
    "dropout": (lambda: gru(num_layers=2, dropout=0.5), {}, "module.layers has dropout=0.5 between its layers"),
    "batch norm": (lambda: Readout(torch.nn.GRU(2, 3), torch.nn.BatchNorm1d(3)), {}, "batch normalization in training"),
    "device": (lambda: gru().to("meta"), {}, "the inputs are on cpu, but the module is on meta"),
    "not called": (
        lambda: Loop(torch.nn.GRUCell(2, 3), start=lambda *_: torch.ones(4, 3)),
        {"inputs": INPUTS[:, :0]},
        "module(inputs) does not call module.cell",
    ),
    "twice": (lambda: Twice(), {}, "module(inputs) calls module.layers more than once"),
    "not finite": (not_finite, {}, "the state of module.layers is not finite after step "),
    "nan loss": (gru, {"loss": lambda outputs: loss(outputs) * torch.nan}, "the loss is nan, although the states of"),
    "no scalar": (
        gru,
        {"loss": lambda outputs: outputs},
        "loss must return a scalar tensor, the mean over the sequences, got a tensor of shape (4, 3)",
    ),
    "number": (
        gru,
        {"loss": lambda outputs: 0.5},
        "loss must return a scalar tensor, the mean over the sequences, got float",
    ),
    "complex loss": (gru, {"loss": lambda outputs: loss(outputs) * 1j}, "got a tensor of shape () and torch.complex64"),
    "detached": (gru, {"loss": lambda outputs: loss(outputs.detach())}, "the loss does not depend on module.layers by"),
    "independent": (
        gru,
        {"loss": lambda _: torch.ones((), requires_grad=True).square()},
        "the loss does not depend on the states of",
    ),
    "width": (gru, {"inputs": torch.ones(4, 6, 5)}, "the module cannot be called with these inputs, a tensor of shape"),
    "width of a cell": (
        lambda: Loop(torch.nn.RNNCell(2, 3)),
        {"inputs": torch.ones(4, 6, 5)},
        "the module cannot be called with",
    ),
    "dtype": (gru, {"inputs": INPUTS.double()}, "torch.float64"),
    "no batch": (
        lambda: torch.nn.GRU(2, 3),
        {"inputs": torch.ones(6, 2)},
        "module needs a batch, (steps, sequences, 2), got the shape (6, 2)",
    ),
    "no sequences": (gru, {"inputs": INPUTS[:0]}, "module.layers needs at least one sequence"),
    "another forward": (
        lambda: Readout(Shifted(2, 3, batch_first=True)),
        {},
        "module.layers does not compute what torch's layer of this kind computes",
    ),
    "lags": (gru, {"lags": [0, 7]}, "lags must be ascending numbers from 0 to 6, got [0, 7]"),
    "count": (gru, {"num_sequences": 0}, "num_sequences must be a whole number, at least 1, got 0"),
    "count of text": (gru, {"num_steps": "3"}, "num_steps must be a whole number, at least 1, got '3'"),
    "lag alone": (gru, {"lags": 3}, "lags must be ascending numbers from 0 to T, got 3"),
    "lags in turn": (gru, {"lags": (lag for lag in [0, 7])}, "from 0 to 6, got [0, 7]"),
    "lags of text": (gru, {"lags": "all"}, "lags must be ascending numbers from 0 to T, got 'all'"),
    "class": (torch.nn.GRU, {}, "module must be an object, got the class GRU: make one, GRU(...)"),
    "function": (lambda: loss, {}, "module must be a torch.nn.Module, got function: give the module itself"),
    "recurrence by name": (gru, {"recurrence": "layers"}, "recurrence=str is not part of the module"),
    "half": (lambda: gru().bfloat16(), {}, "must be float32 or float64, got torch.bfloat16; use module.float()"),
    "array": (gru, {"inputs": INPUTS.numpy()}, "cannot be called with these inputs, numpy.ndarray: "),
    "none": (gru, {"inputs": None}, "cannot be called with these inputs, None: "),
    "tuple": (gru, {"inputs": (INPUTS,)}, "cannot be called with these inputs, a tuple of 1: "),
    "dict": (gru, {"inputs": {"x": INPUTS}}, "cannot be called with these inputs, dict: "),
    "loss": (gru, {"loss": 3}, "loss must be a function of what the module returns, alone, got int 3"),
    "class of a loss": (gru, {"loss": torch.nn.MSELoss}, "got the class MSELoss: MSELoss()?"),
    "loss of targets": (gru, {"loss": torch.nn.MSELoss()}, "of what the module returns, alone: TypeError: "),
    "loss of a tensor": (
        lambda: torch.nn.GRU(2, 3),
        {"loss": loss},
        "AttributeError: 'tuple' object has no attribute 'square' (the module returned a tuple of 2)",
    ),
    "writer": (gru, {"writer": object()}, "writer must have add_scalar(tag, value, step), as a SummaryWriter has"),
    "dropout in a cell": (*looped(Cell(torch.nn.Dropout(0.5))), "module.cell contains dropout, which is random"),
    "changed state": (
        *looped(Cell(), between=lambda state: state * 0.9),
        "call 2 of module.cell does not get the state",
    ),
    "noise": (*looped(Noisy()), "module.cell gives another result when it is called again"),
    "detached state": (*looped(Detached()), "the state that module.cell returns does not depend on the state that it"),
    "forgotten state": (*looped(Forgetful()), "the state that module.cell returns does not depend on the state that"),
    "one call": (*looped(Cell()), "module(inputs) calls module.cell once: call it once for each step"),
    "no first state": (
        *looped(Cell(), start=lambda *_: None),
        "the first call of module.cell does not get a state of shape (4, 3)",
    ),
}
REFUSED["one call"][1]["inputs"] = INPUTS[:, :1]


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_in_one_line(name):
    module, keys, message = REFUSED[name]
    if not isinstance(module, torch.nn.Module | type):
        module = module()
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        diagnose(module, keys.pop("inputs", INPUTS), keys.pop("loss", loss), **keys)
    assert "\n" not in str(caught.value)


def facts(module):
    """Everything that a call of a module could change."""
    tensors = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    tensors |= {f"{name}.grad": each.grad.clone() for name, each in module.named_parameters() if each.grad is not None}
    parts = [(type(part), part.training, list(vars(part)), len(part._forward_hooks)) for part in module.modules()]
    return {"random": torch.get_rng_state(), **tensors}, parts, torch.is_grad_enabled()


def remembering():
    """A net with dropout and a buffer that its forward changes."""

    def count(module, *_):
        module.calls += 1

    module = Readout(torch.nn.GRU(2, 3, batch_first=True), torch.nn.Dropout(0.5), torch.nn.Linear(3, 3))
    module.register_buffer("calls", torch.zeros(()))
    module.register_forward_hook(count)
    loss(module(INPUTS)).backward()
    return module


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("make", [remembering, *(lambda cell=cell: Loop(cell(2, 3)) for cell in (torch.nn.GRUCell,))])
def test_nothing_of_the_module_changes(make, grad):
    module = make()

    def fails(outputs):
        raise KeyError("my own")

    with torch.set_grad_enabled(grad):
        before = facts(module)
        diagnose(module, INPUTS, loss)
        for inputs, wrong in ((INPUTS, fails), (INPUTS[..., :1], loss), (INPUTS, lambda outputs: outputs)):
            with pytest.raises((KeyError, ValueError)):
                diagnose(module, inputs, wrong)
        after = facts(module)
    assert before[1:] == after[1:]
    assert before[0].keys() == after[0].keys()
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])


def test_frozen_parameters_and_hooks_of_the_owner_are_no_obstacle():
    module, seen = Readout(torch.nn.LSTM(2, 3, batch_first=True)).requires_grad_(False), []
    module.layers.register_forward_hook(lambda _, args, result: seen.append(result[0].shape))
    assert diagnose(module, INPUTS, loss).scalars["state_gradient/lag_0"] > 0
    assert seen == [(4, 6, 3)]
    with torch.inference_mode():
        assert diagnose(module, INPUTS, loss).gradient_shares.sum().item() == pytest.approx(1)
