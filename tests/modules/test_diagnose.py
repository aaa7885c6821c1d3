"""A look into torch's own nets equals the probes on a model with the same weights; other nets equal autograd."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from nets_to_diagnose import F64, MODELS, LastOutput, LayerNet, LoopNet, OwnCell, row
from test_probes import batch_of, look

from docs.make.metrics import markdown
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.modules.diagnose import diagnose
from rnnbench.modules.from_model import StepNet, module_of
from rnnbench.modules.recurrence import recording_of
from rnnbench.probes.gradient_by_lag import GradientByLag
from rnnbench.probes.jacobian_normality import JacobianNormality
from rnnbench.probes.jacobian_product import JacobianProduct
from rnnbench.probes.lyapunov import Lyapunov
from rnnbench.probes.state_gradient import StateGradient
from rnnbench.probes.state_jacobian import StateJacobian

T = 12
SIGMOID = SimpleRnn(1, 1, 5, "sigmoid")  # torch has no layer of it
PROBES = [
    StateGradient(picture_every=0),
    GradientByLag(num_sequences=32, picture_every=0),
    StateJacobian(num_sequences=2, num_steps=4, picture_every=0),
    JacobianNormality(num_sequences=2, num_steps=4, picture_every=0),
    JacobianProduct(num_sequences=2, picture_every=0),
    Lyapunov(num_sequences=2, picture_every=0),
]
EVERYTHING = {"num_sequences": 2, "lags": range(T + 1), "num_exponents": None}


def read_probes(model, theta, batch):
    view = look(model, theta, batch)
    return {tag: value.item() for probe in PROBES for tag, value in probe.capture(view)().scalars.items()}


def assert_equal(found, expected):
    assert set(found) == set(expected)
    for tag, value in expected.items():
        assert found[tag] == pytest.approx(value, rel=1e-10, abs=1e-13, nan_ok=True), tag


def squared_error(batch):
    return lambda outputs: (outputs - batch.targets[0, 0]).square().sum(1).mean()


def nets(model, theta):
    parameters = {name: view[0] for name, view in model.parameters(theta).items()}
    yield "of rnnbench export", LastOutput(module_of(model, parameters)), {}
    yield "of a model of one's own", LastOutput(StepNet(model, parameters)), {}
    own = LoopNet(model, theta, OwnCell(model, theta))
    yield "loop over a cell of one's own", own, {"recurrence": own.cell}
    if model is SIGMOID:
        return
    yield "layers", LayerNet(model, theta), {}
    yield "layers, steps first", LayerNet(model, theta, batch_first=False), {}
    yield "loop over a cell", LoopNet(model, theta), {}


@pytest.mark.parametrize("model", [*MODELS.values(), SIGMOID], ids=[*MODELS, "sigmoid"])
def test_every_number_is_that_of_the_probes(model):
    batch = batch_of(1, 4, [T] * 4, T)
    theta = row(model)
    expected = read_probes(model, theta, batch)
    inputs = batch.inputs[:, 0].transpose(0, 1)
    for kind, net, keys in nets(model, theta):
        found = diagnose(net, inputs, squared_error(batch), **EVERYTHING, **keys)
        assert_equal(found.scalars, expected)
        assert found.loss == pytest.approx(squared_error(batch)(net(inputs)).item(), rel=1e-12), kind


@pytest.mark.parametrize("name", MODELS)
def test_sequences_of_different_lengths_end_each_at_its_own_end(name):
    model, lengths = MODELS[name], [T - 2, T, T - 2, T - 5]
    theta, batch = row(model), batch_of(1, 4, [lengths], T)
    net, inputs = LayerNet(model, theta, lengths=torch.tensor(lengths)), batch.inputs[:, 0].transpose(0, 1)
    found = diagnose(net, inputs, squared_error(batch), **{**EVERYTHING, "lags": range(T - 1)})
    assert_equal(found.scalars, read_probes(model, theta, batch))


KINDS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def stacked_step(net, inputs, state):
    """One step of all layers for one sequence: the state (s,), layer after layer, by torch's own forward."""
    n, layers = net.hidden_size, net.num_layers
    parts = state.view(layers, -1, n).transpose(0, 1).unsqueeze(2).contiguous()  # (parts, L, 1, n)
    _, last = net(inputs.view(1, 1, -1), (parts[0], parts[1]) if len(parts) > 1 else parts[0])
    last = torch.stack(last) if isinstance(last, tuple) else last.unsqueeze(0)
    return last.squeeze(2).transpose(0, 1).reshape(-1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_the_state_of_stacked_layers_is_that_of_all_layers(kind, bias):
    torch.manual_seed(0)
    net = KINDS[kind](2, 3, num_layers=3, bias=bias, dtype=F64)
    inputs = torch.randn(6, 4, 2, dtype=F64)

    def loss(outputs):
        last = outputs[1] if isinstance(outputs[1], tuple) else (outputs[1],)
        return outputs[0].square().mean() + sum((part * torch.arange(3)).sin().mean() for part in last)

    recording = recording_of(net, None)
    (handle,) = recording.attach()
    outputs = net(inputs)
    handle.remove()
    for one, other in zip(
        torch.utils._pytree.tree_leaves(outputs), torch.utils._pytree.tree_leaves(net(inputs)), strict=True
    ):
        assert torch.allclose(one, other, rtol=1e-12)
    trajectory = recording.trajectory(loss(outputs))
    for t, k in ((0, 0), (3, 1), (5, 3)):
        step = torch.full((1, k + 1), t)
        before, after = trajectory.states[t, k], trajectory.states[t + 1, k]
        assert torch.allclose(stacked_step(net, inputs[t, k], before), after, rtol=1e-12)
        expected = torch.autograd.functional.jacobian(lambda h, t=t, k=k: stacked_step(net, inputs[t, k], h), before)
        assert torch.allclose(trajectory.transitions.jacobians(step)[0, k], expected, rtol=1e-11, atol=1e-14)
    # dL/dstate_{t-1} = J_t^T dL/dstate_t, and the outputs' own part, which reaches the last layer's h alone.
    jacobians = trajectory.transitions.jacobians(torch.arange(6).unsqueeze(1).expand(6, 4))
    gradients = trajectory.state_gradients
    through = (jacobians[1:].mT @ gradients[1:].unsqueeze(-1)).squeeze(-1)
    direct = (gradients[:-1] - through).unflatten(-1, (3, -1))
    hidden = outputs[0].detach()[:-1]
    assert torch.allclose(direct[..., 2, :3], 2 * hidden / outputs[0].numel(), rtol=1e-9, atol=1e-15)
    assert direct[..., :2, :].abs().max() < 1e-15
    by_lag = trajectory.transitions.by_lag()
    names = [name for name, _ in net.named_parameters() if not name.startswith("bias_hh") or kind == "gru"]
    gradient = dict(
        zip(dict(net.named_parameters()), torch.autograd.grad(loss(net(inputs)), list(net.parameters())), strict=True)
    )
    parts = [gradient[name][6:] if name.startswith("bias_hh") else gradient[name] for name in names]
    assert by_lag.whole.norm().item() == pytest.approx(torch.cat([part.flatten() for part in parts]).norm().item())
    assert by_lag.shares.sum().item() == pytest.approx(1)


class LinearCell(torch.nn.Module):
    """h' = W h + V x, called as (state, inputs), with an output beside the state and a mask that is no row."""

    def __init__(self, weight):
        super().__init__()
        self.weight, self.input_weight = (
            torch.nn.Parameter(weight),
            torch.nn.Parameter(torch.ones(len(weight), 1, dtype=F64)),
        )

    def forward(self, state, inputs, *, mask):
        hidden = state["h"] @ self.weight.T + inputs @ self.input_weight.T
        return hidden * mask, {"h": hidden}


class LinearNet(torch.nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.cell = LinearCell(weight)

    def forward(self, inputs):
        size = len(self.cell.weight)
        state, mask = {"h": torch.zeros(len(inputs), size, dtype=F64)}, torch.ones(size, dtype=F64)
        for step in inputs.unbind(1):
            _, state = self.cell(state, step, mask=mask)
        return state["h"]


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 5), num_steps=st.integers(2, 9), num_sequences=st.integers(6, 8))
def test_a_linear_cell_of_ones_own_is_its_weight(seed, size, num_steps, num_sequences):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(size, size, generator=generator, dtype=F64)
    net, inputs = LinearNet(weight.clone()), torch.randn(num_sequences, num_steps, 1, generator=generator, dtype=F64)
    found = diagnose(net, inputs, lambda h: h.sum(1).mean(), recurrence=net.cell, lags=range(num_steps + 1))
    moduli = np.sort(np.abs(np.linalg.eigvals(weight.numpy())))[::-1]
    assert found.eigenvalues.abs().flatten(0, 1).numpy() == pytest.approx(
        np.tile(moduli, (len(found.sampled_steps), 1))
    )
    for lag in range(num_steps + 1):
        power = np.linalg.matrix_power(weight.numpy(), lag)
        assert found.products.log_spectral[lag].item() == pytest.approx(math.log(np.linalg.norm(power, 2)), abs=1e-9)
        if lag < num_steps:
            assert found.state_gradient[lag].item() == pytest.approx(np.linalg.norm(power.T @ np.ones(size)))
    expected = np.linalg.slogdet(weight.numpy()).logabsdet
    assert found.lyapunov_exponents.sum().item() == pytest.approx(expected, abs=1e-9)
    assert found.gradient_shares.sum().item() == pytest.approx(1)
    net(inputs).sum(1).mean().backward()
    parts = torch.cat([parameter.grad.flatten() for parameter in net.cell.parameters()])
    whole = parts.norm().item()  # no share is larger than its part, and the parts add up
    assert (whole * found.gradient_shares.abs() <= found.gradient_norms * (1 + 1e-9)).all()
    assert whole <= found.gradient_norms.sum().item() * (1 + 1e-9)


def test_scalars_have_the_tags_of_the_probes_and_figures_are_drawn():
    model = MODELS["lstm"]
    net, batch = LayerNet(model, row(model)), batch_of(1, 4, [T] * 4, T)
    written = []

    class Writer:
        def add_scalar(self, tag, value, step):
            written.append((tag, value, step))

    inputs, keys = batch.inputs[:, 0].transpose(0, 1), {"num_exponents": 3, "product_singular_values": True}
    found = diagnose(net, inputs, squared_error(batch), writer=Writer(), step=7, **keys)
    assert dict((tag, value) for tag, value, _ in written) == {k: v for k, v in found.scalars.items() if v == v}
    assert {step for *_, step in written} == {7}
    assert {"lyapunov/largest"} == {tag for tag in found.scalars if tag.startswith("lyapunov")}
    page = markdown()
    for tag, figure in found.figures().items():
        assert figure.axes
        assert f"`{tag}`" in page
    assert len(found.figures()) == 7
    assert repr(found).startswith("<Diagnosis of module.rnn: loss ")
    with pytest.raises(ValueError, match="there is no figure 'loss': choose one of state_gradient/against_lag, "):
        found.figure("loss")


def test_a_diagnosis_in_float32_is_near_that_in_float64():
    model = MODELS["lstm"]
    net, batch = LayerNet(model, row(model)), batch_of(1, 4, [T] * 4, T)
    inputs = batch.inputs[:, 0].transpose(0, 1)
    exact = diagnose(net, inputs, squared_error(batch))
    batch = batch_of(1, 4, [T] * 4, T)
    rounded = diagnose(net.float(), inputs.float(), squared_error(batch))
    for tag, value in exact.scalars.items():
        assert rounded.scalars[tag] == pytest.approx(value, rel=1e-3, abs=1e-3), tag
