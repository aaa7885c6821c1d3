"""The linear recurrent unit against a closed form in complex numbers, and its eigenvalues."""

import math

import pytest
import torch
from cases import F64, assert_close, make_case
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.config.build import build
from rnnbench.config.errors import ConfigError
from rnnbench.config.plan import make_plan
from rnnbench.config.request import Request
from rnnbench.init.ring import RingInit
from rnnbench.models.lru import Lru
from rnnbench.models.nonlinearity import NONLINEARITIES
from rnnbench.run.setup import set_up

SCALES = {"input_scale": 0.5, "output_scale": 0.5, "bias_scale": 0.1, "initial_state_scale": 0.1}


def eigenvalues(model, theta):
    p = model.parameters(theta)
    return torch.exp(torch.complex(-p["log_decay"].exp(), p["log_phase"].exp()))  # (R, n/2)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_states_are_powers_of_the_eigenvalues(nonlinearity):
    """s_t = lambda^t s_0 + gamma sum over k of lambda^(t - k) u_k."""
    model = Lru(2, 2, 6, nonlinearity)
    _, theta, batch, objective, _ = make_case(model, every_step=True, num_steps=7)
    p, powers = model.parameters(theta), eigenvalues(model, theta)
    entering = batch.inputs @ p["weight_ih"].mT + p["bias"].unsqueeze(1)
    f = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "linear": lambda x: x}[nonlinearity]
    entering = torch.complex(*f(entering).chunk(2, -1))  # (T, R, B, n/2)
    start = torch.complex(*p["initial_state"].chunk(2, -1))
    gamma = (1 - powers.abs() ** 2).sqrt().unsqueeze(1)
    states = [
        powers.unsqueeze(1) ** t * start.unsqueeze(1)
        + sum(gamma * powers.unsqueeze(1) ** (t - k) * entering[k - 1] for k in range(1, t + 1))
        for t in range(8)
    ]
    expected = torch.stack([torch.cat([state.real, state.imag], -1).expand(-1, 3, -1) for state in states])
    assert_close(objective.loss_and_gradient(theta).trace.states(3), expected, 1e-12)
    complex_readout = torch.complex(p["weight_out"][..., :3], -p["weight_out"][..., 3:])
    outputs = (torch.stack(states[1:]) @ complex_readout.mT).real + p["bias_out"].unsqueeze(1)
    assert_close(objective.outputs(theta), outputs, 1e-12)


def test_the_spectrum_is_the_eigenvalues_and_their_conjugates_at_every_state():
    model = Lru(2, 1, 6)
    _, theta, batch, _, generator = make_case(model)
    states = torch.randn(2, 2, 3, 6, generator=generator, dtype=F64)
    jacobians = model.state_jacobians(theta, states, batch.inputs[:2])
    assert_close(jacobians, super(Lru, model).state_jacobians(theta, states, batch.inputs[:2]))
    found = torch.linalg.eigvals(model.recurrent_weight(theta))
    expected = eigenvalues(model, theta)
    for r in range(2):
        both = torch.cat([expected[r], expected[r].conj()])
        distances = (found[r].unsqueeze(1) - both).abs()
        assert max(distances.amin(0).max(), distances.amin(1).max()) < 1e-12


@settings(max_examples=30)
@given(r_min=st.floats(0, 0.99), width=st.floats(1e-6, 1), max_phase=st.floats(1e-3, math.tau), seed=st.integers(0, 99))
def test_the_ring_is_kept(r_min, width, max_phase, seed):
    r_max = min(1.0, r_min + width)
    model = Lru(2, 1, 40)
    init = RingInit(r_min=r_min, r_max=r_max, max_phase=max_phase, **SCALES)
    drawn = init.initial_parameters(torch.Generator().manual_seed(seed), model)
    values = eigenvalues(model, model.flatten(drawn).unsqueeze(0))[0]
    assert (values.abs() > r_min - 1e-12).all()
    assert (values.abs() < r_max + 1e-12).all()
    assert (drawn["log_phase"].exp() < max_phase + 1e-12).all()
    assert all(values.isfinite().all() for values in drawn.values())


def test_the_ring_is_filled_uniformly():
    """The squared modulus and the phase are uniform."""
    init = RingInit(r_min=0.5, r_max=0.9, max_phase=math.pi, **SCALES)
    drawn = init.initial_parameters(torch.Generator().manual_seed(0), Lru(1, 1, 20000))
    squared, phase = torch.exp(-2 * drawn["log_decay"].exp()), drawn["log_phase"].exp()
    for values, low, high in ((squared, 0.25, 0.81), (phase, 0, math.pi)):
        quantiles = torch.quantile(values, torch.linspace(0, 1, 11, dtype=F64))
        assert torch.allclose(quantiles, torch.linspace(low, high, 11, dtype=F64), atol=0.03 * (high - low))


def test_a_unit_that_never_decays_keeps_finite_gradients():
    model = Lru(2, 2, 4)
    _, theta, _, objective, _ = make_case(model)
    model.parameters(theta)["log_decay"][:] = -40.0
    assert objective.loss_and_gradient(theta).gradient.isfinite().all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["model=lru"],
            r"^init: OrthogonalInit draws no eigenvalues of a diagonal recurrence, which Lru has; use init=lru",
        ),
        (["init=lru_ring"], r"^init: RingInit draws no recurrent weights, which SimpleRnn has; use init=orthogonal$"),
        (["model=lru", "init=lru_ring", "model.hidden_size=5"], r"^model\.hidden_size must be even with model=lru"),
        (
            ["model=lru", "init=lru_ring", "init.r_min=0.999"],
            r"^init\.r_max must be > init\.r_min, got 0\.999 and 0\.9",
        ),
        (["model=lru", "init=lru_ring", "init.r_max=1.1"], r"^init\.r_max must be > 0 and <= 1, got 1\.1$"),
        (["model=lru", "init=lru_ring", "init.forget_bias=1"], r"^init\.forget_bias must be 0 with a model without"),
        (
            ["model=lru", "model.num_layers=2"],
            r"^init: OrthogonalInit draws no eigenvalues .*, which Stack has; use init=",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(words, message):
    with pytest.raises(ConfigError, match=message) as error:
        set_up(make_plan(Request(overrides=("task.sequence_length=10", *words))).configs)
    assert "\n" not in str(error.value)


def test_layers_of_units():
    words = ("model=lru", "init=lru_ring", "model.num_layers=2", "model.hidden_size=4")
    model = build(make_plan(Request(overrides=words)).configs).model
    assert [name for name in model.layout if name.startswith("log_")] == [
        *("log_decay_l0", "log_phase_l0", "log_decay_l1", "log_phase_l1")
    ]
    theta = make_case(model).theta
    assert model.recurrent_weight(theta).shape == (2, 8, 8)
