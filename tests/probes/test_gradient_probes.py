"""Probes of gradients and curvature against dense matrices and gradients of single sequences."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rnnbench.losses import LOSSES
from rnnbench.models.lstm import Lstm
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.optim.base import Update
from rnnbench.probes import sample
from rnnbench.probes.alignment import Alignment
from rnnbench.probes.base import PreviousUpdate, View
from rnnbench.probes.curvature import Curvature
from rnnbench.probes.gradient_by_lag import GradientByLag, reach
from rnnbench.probes.gradient_noise import GradientNoise
from rnnbench.tasks.base import Batch

PNG = b"\x89PNG\r\n\x1a\n"
NUM_STEPS, NUM_SEQUENCES, STEP = 6, 5, 0.05
TASK = SimpleNamespace(num_steps=NUM_STEPS, dependency=range(2, 4))
CURVATURE = Curvature(
    num_sequences=NUM_SEQUENCES,
    num_iterations=30,
    num_eigenvectors=5,
    lr=None,
    momentum=0.5,
    damping=None,
    picture_every=1,
)
PROBES = [
    CURVATURE,
    GradientByLag(num_sequences=NUM_SEQUENCES, picture_every=1),
    GradientNoise(num_sequences=NUM_SEQUENCES),
    Alignment(),
]


def name_of(value):
    return type(value).__name__


def problem(model, dtype=torch.float64, num_replicas=3):
    generator = torch.Generator().manual_seed(4)
    theta = 0.5 * torch.randn(num_replicas, model.num_parameters, generator=generator, dtype=torch.float64)
    inputs = torch.randn(NUM_STEPS, num_replicas, NUM_SEQUENCES, 1, generator=generator, dtype=torch.float64)
    targets = torch.randn(1, num_replicas, NUM_SEQUENCES, 1, generator=generator, dtype=torch.float64)
    lengths = torch.tensor([6, 4, 5, 6, 5]).expand(num_replicas, -1)
    batch = Batch(inputs.to(dtype), lengths, (lengths - 1)[None], targets.to(dtype))
    return theta.to(dtype), Objective(Engine(model, dtype=dtype), LOSSES["squared_error"], batch)


def view_of(model, **options):
    """After a gradient step of length `STEP`, half of it clipped off; before it another was made."""
    theta, objective = problem(model, **options)
    found = objective.loss_and_gradient(theta)
    clipped = 0.5 * found.gradient
    update = Update(theta - 2 * STEP * clipped, {}, found, clipped, *[torch.zeros(len(theta))] * 4)
    previous = PreviousUpdate(theta + found.gradient.roll(1, 1), found.gradient.flip(1))
    return View(model, NUM_STEPS, theta, update, 0, previous=previous, dependency=TASK.dependency), objective


@pytest.mark.parametrize("model", [SimpleRnn(1, 1, 4), Lstm(1, 1, 3)], ids=name_of)
@pytest.mark.parametrize("probe", PROBES, ids=name_of)
def test_readings_have_the_columns_that_were_announced(probe, model):
    view, _ = view_of(model, dtype=torch.float32)
    reading = probe.capture(view)()
    assert set(reading.scalars) == set(probe.columns(model, TASK))
    assert all(value.shape == (3,) and value.dtype == torch.float64 for value in reading.scalars.values())
    assert all(draw(2).startswith(PNG) for draw in reading.pictures.values())


@pytest.mark.parametrize("probe", PROBES, ids=name_of)
def test_of_a_checkpoint_nothing_is_said_about_a_step(probe):
    view, _ = view_of(SimpleRnn(1, 1, 4))
    reading = probe.capture(replace(view, is_training=False, previous=None))()
    about_steps = {"alignment/steps", "alignment/gradients", "alignment/step_against_gradient", "gradient/clipped"}
    missing = set(probe.columns(view.model, TASK)) - set(reading.scalars)
    assert all(tag in about_steps or tag.startswith("curvature/progress_update") for tag in missing)
    assert not {tag for tag in reading.scalars if tag in about_steps or "progress_update" in tag}


def dense(model, objective, theta):
    """Gauss-Newton matrix and Hessian, (R, P, P) each, as numpy has them."""
    gauss_newton, units = objective.linearize(theta), torch.eye(model.num_parameters, dtype=torch.float64)
    return tuple(
        torch.stack([product(unit.expand_as(theta)) for unit in units], 2).numpy()
        for product in (gauss_newton.product, objective.hessian(theta).product)
    )


@pytest.mark.parametrize("at_once", [256, 1])
def test_curvature_is_that_of_dense_matrices(at_once, monkeypatch):
    monkeypatch.setattr(sample, "SEQUENCES_AT_ONCE", at_once)
    model = SimpleRnn(1, 1, 4)
    view, objective = view_of(model)
    scalars = CURVATURE.capture(view)().scalars
    gradient = view.update.gradient.gradient.numpy()
    gauss_newton, hessian = dense(model, objective, view.theta)
    for r in range(3):
        values, vectors = np.linalg.eigh(gauss_newton[r])
        values, vectors = values[::-1], vectors[:, ::-1]
        ends, parts = np.linalg.eigvalsh(hessian[r]), vectors.T @ gradient[r]
        squared = gradient[r] @ gradient[r]
        expected = {
            "hessian_largest": ends[-1],
            "hessian_smallest": ends[0],
            "gauss_newton_along_gradient": gradient[r] @ gauss_newton[r] @ gradient[r] / squared,
            "hessian_along_gradient": gradient[r] @ hessian[r] @ gradient[r] / squared,
            "gradient_share": (parts[:5] ** 2).sum() / squared,
        }
        for k in (1, 2, 5):
            curvature = values[k - 1]
            expected |= {
                f"gauss_newton_{k}": curvature,
                f"gradient_component_{k}": abs(parts[k - 1]),
                f"progress_update_{k}": STEP * curvature,
                f"progress_gradient_descent_{k}": curvature / values[0],
                f"progress_momentum_{k}": 2 * curvature / values[0],
                f"progress_newton_{k}": curvature / (curvature + 1e-3 * values[0]),
            }
        for tag, value in expected.items():
            assert scalars[f"curvature/{tag}"][r].item() == pytest.approx(value, rel=1e-8), tag
        assert scalars["curvature/largest_residual"][r] < 1e-8


def test_curvature_compares_with_the_damping_of_hf_and_with_given_settings():
    view, _ = view_of(SimpleRnn(1, 1, 4))
    damped = replace(view, update=replace(view.update, damping=torch.tensor([0.1, 0.2, 0.3])))
    scalars = CURVATURE.capture(damped)().scalars
    largest = scalars["curvature/gauss_newton_1"]
    expected = largest / (largest + torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64))
    assert torch.allclose(scalars["curvature/progress_newton_1"], expected, rtol=1e-6)
    scalars = replace(CURVATURE, damping=2.0, lr=0.25).capture(damped)().scalars
    assert torch.allclose(scalars["curvature/progress_newton_1"], largest / (largest + 2))
    assert torch.allclose(scalars["curvature/progress_gradient_descent_1"], 0.25 * largest)


def test_eigenvectors_that_were_not_found_have_no_numbers():
    view, _ = view_of(SimpleRnn(1, 1, 4))
    scalars = replace(CURVATURE, num_iterations=2, num_eigenvectors=2).capture(view)().scalars
    assert scalars["curvature/gauss_newton_2"].isnan().all()
    assert scalars["curvature/progress_update_2"].isnan().all()
    scalars = replace(CURVATURE, num_sequences=2).capture(view)().scalars  # two outputs: two directions of curvature
    assert scalars["curvature/gauss_newton_2"].isfinite().all()
    assert scalars["curvature/gauss_newton_5"].isnan().all()
    with pytest.raises(ValueError, match="num_eigenvectors must be at most num_iterations=2"):
        replace(CURVATURE, num_iterations=2)


def test_shares_by_lag_sum_to_one_and_the_parts_to_the_gradient():
    model = SimpleRnn(1, 1, 4)
    view, _ = view_of(model)
    for count in (NUM_SEQUENCES, 2):
        scalars = GradientByLag(num_sequences=count, picture_every=0).capture(view)().scalars
        shares = [scalars[f"gradient_by_lag/share_from_{lag}"] for lag in (0, 1, 2, 5)]
        assert torch.allclose(sum(shares), torch.ones(3, dtype=torch.float64), rtol=1e-12)
        assert torch.allclose(scalars["gradient_by_lag/norm_0"], last_steps_gradient(model, view, count), rtol=1e-10)


def last_steps_gradient(model, view, count):
    """Norm of what the last step of each of the first sequences adds to the gradient of their mean loss, (R,)."""
    batch, norms = view.update.gradient.batch, []
    for r in range(3):
        p = {name: value[r] for name, value in model.parameters(view.theta).items()}
        total = torch.zeros(4, 4 + 1 + 1, dtype=torch.float64)
        for k in range(count):
            h = p["initial_state"]
            for t in range(int(batch.lengths[r, k])):
                before, x = h, batch.inputs[t, r, k]
                h = torch.tanh(p["weight_hh"] @ h + p["weight_ih"] @ x + p["bias"])
            error = 2 * (p["weight_out"] @ h + p["bias_out"] - batch.targets[0, r, k]) / count
            row = torch.cat([before, x, torch.ones(1, dtype=torch.float64)])
            total += torch.outer((1 - h * h) * (error @ p["weight_out"]), row)
        norms.append(total.norm())
    return torch.stack(norms)


def test_reach_counts_the_steps_beyond_which_little_changes():
    shares = torch.tensor([[0.6, 0.395, 0.005], [0.995, -0.6, 0.605], [0.0, 0.0, 1.0], [torch.nan] * 3])
    assert reach(shares, 0.5).tolist()[:3] == [1, 3, 3]
    assert reach(shares, 0.99).tolist()[:3] == [2, 3, 3]
    assert reach(shares, 0.5)[3].isnan()


def test_noise_is_the_variance_of_the_gradients_of_single_sequences():
    view, objective = view_of(SimpleRnn(1, 1, 4))
    single = torch.stack(
        [objective.rows(k, k + 1).loss_and_gradient(view.theta).gradient for k in range(NUM_SEQUENCES)]
    )
    scalars = GradientNoise(num_sequences=100).capture(view)().scalars
    trace = single.var(0).sum(1)
    signal = view.update.gradient.gradient.square().sum(1) - trace / NUM_SEQUENCES
    assert torch.allclose(scalars["gradient_noise/trace"], trace, rtol=1e-10)
    assert torch.allclose(scalars["gradient_noise/signal"], signal, rtol=1e-10)
    expected = torch.where(signal > 0, trace / signal, torch.nan)
    assert torch.allclose(scalars["gradient_noise/scale"], expected, equal_nan=True)


def test_alignment():
    view, _ = view_of(SimpleRnn(1, 1, 4))
    gradient = view.update.gradient.gradient.numpy()
    scalars = Alignment().capture(view)().scalars
    for r in range(3):
        flipped, rolled = gradient[r][::-1], np.roll(gradient[r], 1)
        squared = gradient[r] @ gradient[r]
        assert scalars["alignment/gradients"][r].item() == pytest.approx(gradient[r] @ flipped / squared)
        # The step before went along -rolled, this one along -gradient.
        assert scalars["alignment/steps"][r].item() == pytest.approx(gradient[r] @ rolled / squared)
    assert scalars["alignment/step_against_gradient"].tolist() == pytest.approx([1, 1, 1])
    assert scalars["gradient/clipped"].tolist() == [1, 1, 1]
    unclipped = replace(view.update, clipped_gradient=view.update.gradient.gradient)
    assert Alignment().capture(replace(view, update=unclipped))().scalars["gradient/clipped"].tolist() == [0, 0, 0]
