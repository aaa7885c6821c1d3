"""Probes against closed forms and independent computations."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rnnbench.losses import LOSSES
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.optim.base import Update
from rnnbench.probes.base import View
from rnnbench.probes.gradient_norm import GradientNorm
from rnnbench.probes.recurrent_weight import RecurrentWeight
from rnnbench.probes.state_gradient import StateGradient, decay_per_step, lag_curve, lags
from rnnbench.probes.state_jacobian import StateJacobian
from rnnbench.tasks.base import Batch

PNG = b"\x89PNG\r\n\x1a\n"


def look(model, theta, batch, *, num_logged=0):
    """The view after one plain gradient step."""
    engine = Engine(model, dtype=theta.dtype)
    gradient = Objective(engine, LOSSES["squared_error"], batch).loss_and_gradient(theta)
    clipped = 0.5 * gradient.gradient
    update = Update(theta - 0.1 * clipped, {}, gradient, clipped, *[torch.zeros(len(theta))] * 4)
    return View(model, batch.inputs.shape[0], theta, update, num_logged)


def batch_of(num_replicas, num_sequences, lengths, num_steps, seed=0):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(num_steps, num_replicas, num_sequences, 1, generator=generator, dtype=torch.float64)
    targets = torch.randn(1, num_replicas, num_sequences, 1, generator=generator, dtype=torch.float64)
    lengths = torch.as_tensor(lengths).expand(num_replicas, num_sequences)
    return Batch(inputs, lengths, (lengths - 1)[None], targets)


def linear_unit(weights):
    """Nets h_t = w h_{t-1} + x_t of one linear unit, z = h: everything about them is known."""
    model = SimpleRnn(1, 1, 1, "linear")
    values = {
        "weight_hh": None,
        "weight_ih": 1.0,
        "bias": 0.0,
        "initial_state": 0.0,
        "weight_out": 1.0,
        "bias_out": 0.0,
    }
    rows = []
    for w in weights:
        one = {**values, "weight_hh": w}
        rows.append(torch.tensor([one[name] for name in model.layout], dtype=torch.float64))
    return model, torch.stack(rows)


def check_columns(probe, view, reading):
    assert list(reading.scalars) == probe.columns(
        view.model, SimpleNamespace(num_steps=view.num_steps, dependency=view.dependency)
    )
    assert all(value.shape == (len(view.theta),) for value in reading.scalars.values())


def test_state_gradient_of_a_linear_unit_decays_by_its_weight():
    weights = [0.8, 1.0, 1.1]
    model, theta = linear_unit(weights)
    view = look(model, theta, batch_of(3, 4, [20, 18, 19, 20], 20))
    probe = StateGradient(picture_every=1)
    reading = probe.capture(view)()
    check_columns(probe, view, reading)
    expected = torch.tensor([math.log(w) for w in weights], dtype=torch.float64)
    equally_long = look(model, theta, batch_of(3, 4, [20, 20, 20, 20], 20))
    slope = probe.capture(equally_long)().scalars["state_gradient/decay_per_step"]
    assert torch.allclose(slope, expected, atol=1e-10)
    outputs = Objective(
        Engine(model, dtype=torch.float64), LOSSES["squared_error"], view.update.gradient.batch
    ).outputs(theta)
    errors = 2 * (outputs - view.update.gradient.batch.targets)[0, :, :, 0].abs()
    for lag in (0, 5, 10):
        wanted = errors.mean(1) * torch.tensor(weights, dtype=torch.float64) ** lag
        assert torch.allclose(reading.scalars[f"state_gradient/lag_{lag}"], wanted, rtol=1e-10)
    assert reading.pictures["state_gradient/against_lag"](1).startswith(PNG)


def test_lag_counts_from_each_sequences_own_end():
    gradients = torch.zeros(4, 1, 2, 1)
    gradients[:, 0, 0, 0] = torch.tensor([1.0, 2.0, 3.0, 4.0])  # length 4
    gradients[:, 0, 1, 0] = torch.tensor([5.0, 6.0, 0.0, 0.0])  # length 2
    curve = lag_curve(gradients, torch.tensor([[4, 2]]))
    assert curve.tolist() == [[5.0, 4.0, 2.0, 1.0]]  # (4 + 6) / 2, (3 + 5) / 2, then the long one alone


def test_decay_ignores_what_has_underflowed():
    curve = torch.tensor([[1.0, 0.5, 0.25, 0.0, torch.nan], [0.0, 0.0, 0.0, 0.0, 1.0]], dtype=torch.float64)
    slope = decay_per_step(curve)
    assert slope[0].item() == pytest.approx(-math.log(2))
    assert slope[1].isnan()


@pytest.mark.parametrize(
    ("num_steps", "dependency", "expected"),
    [
        (1, None, [0]),
        (12, None, [0, 1, 2, 5, 10]),
        (55, None, [0, 1, 2, 5, 10, 20]),
        (55, range(26, 50), [0, 1, 2, 5, 10, 20, 26, 49]),
        (10, range(9, 10), [0, 1, 2, 5, 9]),
    ],
)
def test_lags(num_steps, dependency, expected):
    assert lags(num_steps, dependency) == expected


def test_the_gradient_at_the_dependency_is_that_of_its_last_lag():
    model, theta = linear_unit([0.8, 1.1])
    view = replace(look(model, theta, batch_of(2, 3, [12, 11, 12], 12)), dependency=range(4, 9))
    probe = StateGradient(picture_every=0)
    reading = probe.capture(view)()
    check_columns(probe, view, reading)
    assert torch.equal(reading.scalars["state_gradient/at_dependency"], reading.scalars["state_gradient/lag_8"])


def test_jacobian_eigenvalues_of_a_linear_net_are_those_of_its_weights():
    model, generator = SimpleRnn(1, 1, 6, "linear"), torch.Generator().manual_seed(0)
    theta = 0.4 * torch.randn(2, model.num_parameters, generator=generator, dtype=torch.float64)
    view = look(model, theta, batch_of(2, 5, [9, 8, 9, 7, 9], 9))
    probe = StateJacobian(num_sequences=2, num_steps=3, picture_every=1)
    reading = probe.capture(view)()
    check_columns(probe, view, reading)
    for r in range(2):
        modulus = np.abs(np.linalg.eigvals(model.parameters(theta)["weight_hh"][r].numpy()))
        assert reading.scalars["jacobian/spectral_radius"][r].item() == pytest.approx(modulus.max())
        assert reading.scalars["jacobian/spectral_radius_max"][r].item() == pytest.approx(modulus.max())
        assert reading.scalars["jacobian/share_above_one"][r].item() == pytest.approx((modulus > 1).mean())
        sampled = np.tile(modulus, 6)
        assert reading.scalars["jacobian/modulus_q10"][r].item() == pytest.approx(np.quantile(sampled, 0.1))
        assert reading.scalars["jacobian/modulus_q90"][r].item() == pytest.approx(np.quantile(sampled, 0.9))
        histogram = np.sort(reading.histograms["jacobian/eigenvalue_modulus"][r].numpy())
        assert np.allclose(histogram, np.sort(sampled))
    assert reading.pictures["jacobian/eigenvalues"](0).startswith(PNG)


def test_jacobians_are_those_of_the_trajectories():
    model, generator = SimpleRnn(1, 1, 5), torch.Generator().manual_seed(0)
    theta = 0.7 * torch.randn(1, model.num_parameters, generator=generator, dtype=torch.float64)
    batch = batch_of(1, 3, [8, 8, 6], 8)
    reading = StateJacobian(num_sequences=2, num_steps=2, picture_every=0).capture(look(model, theta, batch))()
    p = {name: view[0] for name, view in model.parameters(theta).items()}
    radii = []
    for k in range(2):
        h = p["initial_state"]
        for t in range(8):
            following = torch.tanh(p["weight_hh"] @ h + p["weight_ih"] @ batch.inputs[t, 0, k] + p["bias"])
            if t in (0, 7):
                jacobian = torch.diag(1 - following**2) @ p["weight_hh"]
                radii.append(np.abs(np.linalg.eigvals(jacobian.numpy())).max())
            h = following
    assert reading.scalars["jacobian/spectral_radius"].item() == pytest.approx(np.mean(radii))
    assert reading.scalars["jacobian/spectral_radius_max"].item() == pytest.approx(np.max(radii))
    assert not reading.pictures


def test_gradient_norms():
    model, generator = SimpleRnn(1, 1, 4), torch.Generator().manual_seed(0)
    theta = 0.4 * torch.randn(2, model.num_parameters, generator=generator, dtype=torch.float64)
    view = look(model, theta, batch_of(2, 3, [5, 5, 5], 5))
    probe = GradientNorm()
    reading = probe.capture(view)()
    check_columns(probe, view, reading)
    gradient = view.update.gradient.gradient
    scalars = reading.scalars
    assert torch.allclose(scalars["gradient/norm"], gradient.square().sum(1).sqrt())
    assert torch.allclose(scalars["gradient/norm_clipped"], 0.5 * scalars["gradient/norm"])
    assert torch.allclose(scalars["update/norm"], 0.05 * scalars["gradient/norm"])
    parts = [value for tag, value in scalars.items() if tag.startswith("gradient_by_parameter/")]
    assert torch.allclose(torch.stack(parts).square().sum(0).sqrt(), scalars["gradient/norm"])


def test_recurrent_weight():
    model, generator = SimpleRnn(1, 1, 7), torch.Generator().manual_seed(0)
    theta = torch.randn(2, model.num_parameters, generator=generator, dtype=torch.float64)
    view = look(model, theta, batch_of(2, 2, [3, 3], 3))
    probe = RecurrentWeight()
    reading = probe.capture(view)()
    check_columns(probe, view, reading)
    for r in range(2):
        weight = model.parameters(view.update.theta)["weight_hh"][r].numpy()
        radius = np.abs(np.linalg.eigvals(weight)).max()
        assert reading.scalars["recurrent_weight/spectral_radius"][r].item() == pytest.approx(radius)
        largest = np.linalg.svd(weight, compute_uv=False)[0]
        assert reading.scalars["recurrent_weight/largest_singular_value"][r].item() == pytest.approx(largest)
