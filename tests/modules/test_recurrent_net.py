"""Trained nets as modules: what they compute is what rnnbench's own sweeps compute, and they lead back to theta."""

import pytest
import torch
from cases import F64, assert_close
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.config.classes import import_class
from rnnbench.config.compose import Composer
from rnnbench.config.listing import Choices
from rnnbench.config.request import Request
from rnnbench.losses import LOSSES
from rnnbench.models.cell import Cell
from rnnbench.models.gru import Gru
from rnnbench.models.latch import Latch
from rnnbench.models.lru import Lru
from rnnbench.models.lstm import Lstm
from rnnbench.models.nonlinearity import NONLINEARITIES
from rnnbench.models.orthogonal_rnn import OrthogonalRnn
from rnnbench.models.parameters import Parameter
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.models.stack import Stack
from rnnbench.models.torch_layout import CELLS, arguments_of, parameters_of, state_dict_of
from rnnbench.modules.from_model import StepNet, module_of
from rnnbench.modules.recurrent_net import RecurrentNet
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.paths import conf_dir
from rnnbench.tasks.base import Batch


class TwoStates(Cell):
    """A cell of one's own: a second part of the state, and other names, one of which torch.nn.Module uses itself."""

    num_state_parts = 2

    def step_layout(self):
        n = self.hidden_size
        return {
            "fast": Parameter((n, n), "recurrent"),
            "update": Parameter((n,), "own", scale=0.1),
            "weight_ih": Parameter((n, self.input_size), "input"),
        }

    def step(self, parameters, state, inputs):
        hidden, trace = state
        hidden = torch.tanh(hidden @ parameters["fast"].mT + inputs @ parameters["weight_ih"].mT + trace)
        return hidden, trace + parameters["update"].unsqueeze(1) * hidden


def of_one_input_more(d, o, n, nonlinearity="tanh"):
    return Latch(n + d, o, n, nonlinearity)


def stacked(make):
    return lambda d, o, n: Stack([make(d, o, n), make(n, o, n)])


PACKAGED = {
    **{name: lambda d, o, n, name=name: SimpleRnn(d, o, n, name) for name in NONLINEARITIES},
    "lstm": Lstm,
    "gru": Gru,
    "sigmoid_2": stacked(lambda d, o, n: SimpleRnn(d, o, n, "sigmoid")),
    "lstm_2": stacked(Lstm),
    "gru_2": stacked(Gru),
    "latch": of_one_input_more,
    "latch_linear": lambda d, o, n: of_one_input_more(d, o, n, "linear"),
}
OTHERS = {
    "orthogonal": OrthogonalRnn,
    "orthogonal_2": stacked(OrthogonalRnn),
    "lru_2": lambda d, o, n: stacked(Lru)(d, o, 2 * n),
    "own": TwoStates,
}
MODELS = PACKAGED | OTHERS


def draw_case(make, seed, *, num_steps=6, num_sequences=4, num_outputs=2, num_replicas=2, n=5, dtype=F64):
    """A model, theta (R, P), and a batch of sequences of different lengths with several outputs each."""
    generator = torch.Generator().manual_seed(seed)
    model = make(2, 3, n)
    theta = 0.5 * torch.randn(num_replicas, model.num_parameters, generator=generator, dtype=F64)
    shape = num_steps, num_replicas, num_sequences
    lengths = torch.randint(min(num_outputs, num_steps), num_steps + 1, shape[1:], generator=generator)
    steps = torch.stack([(lengths - 1 - back).clamp(min=0) for back in range(num_outputs)])
    inputs = torch.randn(*shape, model.input_size, generator=generator, dtype=F64)
    inputs *= (torch.arange(num_steps).view(-1, 1, 1) < lengths).unsqueeze(-1)
    targets = torch.zeros(num_outputs, *shape[1:], model.output_size, dtype=dtype)
    return model, theta.to(dtype), Batch(inputs.to(dtype), lengths, steps, targets)


def ours(model, theta, batch):
    return Objective(Engine(model, dtype=theta.dtype), LOSSES["squared_error"], batch).outputs(theta)


def theirs(model, theta, batch):
    """Outputs of each replica's module at the output steps, (S, R, B, o)."""
    outputs = []
    for r in range(len(theta)):
        net = module_of(model, {name: view[r] for name, view in model.parameters(theta).items()})
        every_step = net(batch.inputs[:, r].transpose(0, 1))  # (B, T, o)
        rows = torch.arange(batch.size)
        outputs.append(every_step[rows, batch.output_steps[:, r]].detach())
    return torch.stack(outputs, 1)


@settings(max_examples=60)
@given(
    name=st.sampled_from(list(MODELS)),
    n=st.integers(1, 7),
    num_steps=st.integers(1, 12),
    num_sequences=st.integers(1, 4),
    num_outputs=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_modules_compute_what_the_sweeps_compute(name, n, num_steps, num_sequences, num_outputs, seed):
    sizes = {"num_steps": num_steps, "num_sequences": num_sequences, "num_outputs": num_outputs, "n": n}
    case = draw_case(MODELS[name], seed, **sizes)
    assert_close(theirs(*case), ours(*case), 1e-12)


@pytest.mark.parametrize("name", MODELS)
def test_in_float32_too(name):
    case = draw_case(MODELS[name], 0, num_steps=10, num_sequences=5, dtype=torch.float32)
    assert_close(theirs(*case), ours(*case), 1e-6)


@pytest.mark.parametrize("name", PACKAGED)
def test_the_state_dict_leads_back_to_the_same_bits(name):
    model, theta, _ = draw_case(PACKAGED[name], 1, num_replicas=1, dtype=torch.float32)
    parameters = {name: view[0] for name, view in model.parameters(theta).items()}
    back = parameters_of(model, state_dict_of(model, parameters))
    assert torch.equal(model.flatten(back).float(), theta[0])


@pytest.mark.parametrize("name", [name for name in PACKAGED if not name.startswith("latch")])
def test_both_biases_that_torch_trains_lead_back_to_the_same_function(name):
    model, theta, batch = draw_case(PACKAGED[name], 2, num_replicas=1)
    net = RecurrentNet(**arguments_of(model)).double()
    theta = model.flatten(parameters_of(model, net.state_dict())).unsqueeze(0)
    assert net.rnn.bias_hh_l0.abs().min() > 0
    every_step = net(batch.inputs[:, 0].transpose(0, 1)).detach()
    expected = every_step[torch.arange(batch.size), batch.output_steps[:, 0]].unsqueeze(1)
    assert_close(ours(model, theta, batch), expected, 1e-12)


def test_every_packaged_model_but_one_has_a_module_of_plain_torch():
    with Composer(Request()) as composer:
        for choice in Choices([conf_dir()]).summaries("model"):
            target = composer.compose([f"model={choice}"]).config.model._target_
            assert (import_class("model", target) in CELLS) == (choice != "lru"), choice


def test_hidden_states_and_a_copy_of_the_weights():
    for name in ("tanh", "orthogonal", "lru_2", "own"):
        model, theta, batch = draw_case(MODELS[name], 3, num_replicas=1)
        net = module_of(model, {name: view[0] for name, view in model.parameters(theta).items()})
        inputs = batch.inputs[:, 0].transpose(0, 1)
        before = net(inputs)
        theta.zero_()
        assert torch.equal(net(inputs), before)
        assert net.hidden_states(inputs).shape == (*inputs.shape[:2], model.hidden_size)
        assert isinstance(net, StepNet) == (name in ("lru_2", "own"))
        before.sum().backward()  # it can be trained on
        assert all(weight.grad is not None for weight in net.parameters())


class WithoutStep(SimpleRnn):
    """What has another step than its base class is not taken for it."""

    def step(self, parameters, state, inputs):
        return (state[0] + 1,)


def test_a_subclass_runs_by_its_own_step():
    model = WithoutStep(2, 1, 3)
    net = module_of(model, {name: torch.zeros(each.shape) for name, each in model.layout.items()})
    assert net.hidden_states(torch.zeros(1, 4, 2))[0, -1].tolist() == [4, 4, 4]
    with pytest.raises(ValueError, match="cannot start WithoutStep, which has no form in plain torch"):
        parameters_of(model, {})


def test_an_orthogonal_matrix_leaves_and_does_not_come_back():
    model, theta, _ = draw_case(OrthogonalRnn, 0, num_replicas=1)
    state = state_dict_of(model, {name: view[0] for name, view in model.parameters(theta).items()})
    assert torch.equal(state["rnn.weight_hh_l0"], model.recurrent_weight(theta)[0])
    assert arguments_of(model)["cell"] == "rnn"
    back = parameters_of(SimpleRnn(2, 3, 5), state)
    assert torch.equal(back["weight_hh"], state["rnn.weight_hh_l0"])
    with pytest.raises(ValueError, match="cannot start model=orthogonal_rnn, since its recurrent matrix is a function"):
        parameters_of(model, state)


class NamedLikeMethods(Cell):
    """Its parameters have the names of methods of a ParameterDict."""

    def step_layout(self):
        n = self.hidden_size
        return {"update": Parameter((n, n), "recurrent"), "values": Parameter((n, self.input_size), "input")}

    def step(self, parameters, state, inputs):
        return (state[0] @ parameters["update"].mT + inputs @ parameters["values"].mT,)


def test_parameters_may_have_any_names():
    model = NamedLikeMethods(2, 1, 3)
    parameters = {name: torch.ones(each.shape) for name, each in model.layout.items()}
    assert module_of(model, parameters)(torch.ones(1, 2, 2)).flatten().tolist() == [16, 52]


GOOD = {"cell": "lstm", "input_size": 2, "hidden_size": 5, "output_size": 3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"readout.bias": None},
            r"has no entry readout.bias; the state_dict of an exported net has initial_state, rnn",
        ),
        ({"rnn.weight_hh_l1": torch.zeros(1)}, r"has the entry 'rnn.weight_hh_l1'; the state_dict"),
        ({"rnn.weight_ih_l1": torch.zeros(1)}, r"has no entry rnn.weight_hh_l1; the state_dict"),
        ({"readout.bias": [1.0, 2.0, 3.0]}, r"has no floating-point tensor as readout.bias"),
        ({"readout.bias": torch.zeros(3, dtype=torch.int64)}, r"has no floating-point tensor as readout.bias"),
        ({"readout.bias": torch.full((3,), float("nan"))}, r"has numbers in readout.bias that are not finite"),
        (
            {"readout.bias": torch.zeros(4)},
            r"has tensors whose shapes do not belong to one net: initial_state \(2, 5\)",
        ),
        ({"readout.weight": torch.zeros(3)}, r"has tensors whose shapes do not belong to one net"),
    ],
)
def test_a_state_dict_that_is_not_of_a_net(changes, message):
    state = {**RecurrentNet(**GOOD).state_dict(), **changes}
    state = {name: entry for name, entry in state.items() if entry is not None}
    with pytest.raises(ValueError, match=f"^{message}"):
        parameters_of(Lstm(2, 3, 5), state)


@pytest.mark.parametrize(
    ("model", "nonlinearity", "message"),
    [
        (Gru(2, 3, 5), None, "holds a net with cell=lstm, but the run needs cell=gru"),
        (
            Lstm(3, 3, 6),
            None,
            "holds a net with input_size=2, hidden_size=5, but the run needs input_size=3, hidden_size=6",
        ),
        (SimpleRnn(2, 3, 5), None, "holds a net with cell=lstm, but the run needs cell=rnn"),
    ],
)
def test_a_net_of_another_model(model, nonlinearity, message):
    with pytest.raises(ValueError, match=message):
        parameters_of(model, RecurrentNet(**GOOD).state_dict(), nonlinearity)


def test_a_net_of_another_nonlinearity_and_a_latch_with_trained_weights():
    net = RecurrentNet("rnn", 3, 2, 1)
    with pytest.raises(ValueError, match="holds a net with nonlinearity=relu, but the run needs nonlinearity=tanh"):
        parameters_of(SimpleRnn(3, 1, 2), net.state_dict(), "relu")
    with pytest.raises(ValueError, match="weights other than 1 of the inputs that model=latch adds to its units"):
        parameters_of(Latch(3, 1, 2), net.state_dict(), "tanh")
