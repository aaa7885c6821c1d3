"""Stacked layers against torch.nn with num_layers, in float64."""

import pytest
import torch
from cases import F64, assert_close, make_case, mean_loss
from torch_cells import MODELS as GATED

from rnnbench.config.build import build
from rnnbench.config.errors import ConfigError
from rnnbench.config.plan import make_plan
from rnnbench.config.request import Request
from rnnbench.models.lstm import Lstm
from rnnbench.models.native_sweeps import NativeSweeps
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.models.stack import Stack
from rnnbench.models.torch_layout import state_dict_of
from rnnbench.modules.from_model import module_of
from rnnbench.native import library

MODELS = {**GATED, "tanh": SimpleRnn, "sigmoid": lambda d, o, n: SimpleRnn(d, o, n, "sigmoid")}


def stack(name, num_layers=3, d=2, o=2, n=4):
    return Stack([MODELS[name](d if number == 0 else n, o, n) for number in range(num_layers)])


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradient_equal_torch_nn(name, every_step):
    model = stack(name)
    _, theta, batch, objective, _ = make_case(model, every_step=every_step)
    found = objective.loss_and_gradient(theta)
    for r in range(len(theta)):
        net = module_of(model, {key: view[r] for key, view in model.parameters(theta).items()})
        assert net.rnn.num_layers == 3
        outputs = net(batch.inputs[:, r].transpose(0, 1)).transpose(0, 1)  # (T, B, o)
        if batch.output_steps is not None:
            outputs = outputs[batch.output_steps[:, r], torch.arange(batch.size)]
        loss = mean_loss("squared_error", outputs.unsqueeze(1), batch.targets[:, r : r + 1]).sum()
        loss.backward()
        assert_close(found.loss[r], loss.detach())
        ours = state_dict_of(model, {key: view[r] for key, view in model.parameters(found.gradient).items()})
        for key, parameter in net.named_parameters():
            assert parameter.grad is not None
            # torch trains two biases, of which we have the sum, except where a GRU's reset gate scales the second.
            used = slice(-4 if name == "gru" else 0, None if name == "gru" else 0) if "bias_hh" in key else slice(None)
            assert_close(ours[key][used], parameter.grad[used])


def test_the_state_is_that_of_all_layers_with_the_top_layer_first():
    model = stack("lstm", 2)
    _, theta, batch, _, generator = make_case(model)
    before = torch.randn(2, 3, model.state_size, generator=generator, dtype=F64)
    parameters, inputs = model.parameters(theta), batch.inputs[0]
    top, low = before.split(8, -1)
    low = torch.cat(Lstm(2, 2, 4).step(model.of_layer(parameters, 0), low.chunk(2, -1), inputs), -1)
    top = torch.cat(Lstm(4, 2, 4).step(model.of_layer(parameters, 1), top.chunk(2, -1), low[..., :4]), -1)
    assert model.state_size == 16
    assert_close(model.next_states(theta, before, inputs), torch.cat([top, low], -1))
    jacobians = model.state_jacobians(theta, before, inputs)
    assert torch.equal(jacobians[..., 8:, :8], torch.zeros(2, 3, 8, 8, dtype=F64))  # no layer sees one above
    assert_close(
        jacobians[..., 8:, 8:], Lstm(2, 2, 4).state_jacobians(layer_theta(model, theta), before[..., 8:], inputs)
    )


def layer_theta(model, theta):
    """Theta of the lowest layer as a net of its own."""
    own, layer = model.of_layer(model.parameters(theta), 0), model.layers[0]
    rows = [
        {name: own.get(name, torch.zeros(2, *entry.shape))[r] for name, entry in layer.layout.items()} for r in (0, 1)
    ]
    return torch.stack([layer.flatten(row) for row in rows])


def test_the_recurrent_weights_of_all_layers_are_blocks():
    model = stack("gru", 2)
    theta = make_case(model).theta
    p, expected = model.parameters(theta), torch.zeros(2, 8, 8, dtype=F64)
    expected[:, :4, :4], expected[:, 4:, 4:] = p["weight_hh_l0"][:, 8:], p["weight_hh_l1"][:, 8:]
    assert torch.equal(model.recurrent_weight(theta), expected)


def built(*words):
    return build(make_plan(Request(overrides=("model.hidden_size=4", "init=orthogonal", *words))).configs)


def test_one_layer_is_the_net_itself_and_layers_are_named_as_in_torch():
    one = built("model=lstm").model
    assert type(one) is Lstm
    if library.unavailable_reason("lstm") is None:
        assert type(make_case(one).objective.engine.lend(1, 2, 3)) is NativeSweeps
    two = built("model=lstm", "model.num_layers=2").model
    step = [f"{name}_l{number}" for number in (0, 1) for name in ("weight_hh", "weight_ih", "bias")]
    assert list(two.layout) == [*step, "initial_state", "weight_out", "bias_out"]
    assert two.layout["weight_ih_l1"].shape == (16, 4)
    assert (two.layout["bias_l1"].forget, two.layout["weight_ih_l1"].kind) == ((4, 8), "input")


def test_every_layer_is_initialized_like_a_net_of_its_own():
    drawn = built("model.num_layers=3", "init.input_scale=0.01")
    p = drawn.inits[0].initial_parameters(torch.Generator().manual_seed(0), drawn.model)
    for number in range(3):
        weight = p[f"weight_hh_l{number}"]
        assert_close(weight @ weight.T, torch.eye(4, dtype=F64), 1e-12)
        assert 0 < p[f"weight_ih_l{number}"].abs().max() < 0.1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.num_layers=0"], r"model\.num_layers must be >= 1 and <= 100, got 0$"),
        (["model.num_layers=101"], r"model\.num_layers must be >= 1 and <= 100"),
        (["model.num_layers=two"], r"model\.num_layers"),
        (
            ["model.num_layers=2", "model.recurrence=native"],
            r"^model\.recurrence=native computes one layer; use model\.recurrence=auto, or model\.num_layers=1$",
        ),
        (
            ["model=lstm", "model.num_layers=2", "model.recurrence=fused"],
            r"^model\.recurrence=fused computes one layer",
        ),
        (
            ["model.num_layers=2", "optim=adam", "optim.information_flow=1"],
            r"model=rnn with model\.num_layers=1, or set optim\.information_flow=0$",
        ),
    ],
)
def test_bad_values_are_one_line(words, message):
    with pytest.raises(ConfigError, match=message) as error:
        built(*words)
    assert "\n" not in str(error.value)
