"""The probes of Jacobians against closed forms: linear nets, orthogonal nets, the scalar latch, and dense products."""

import math

import numpy as np
import pytest
import torch
from test_probes import PNG, batch_of, check_columns, look

from rnnbench.diagnostics.jacobians import share_above
from rnnbench.models.lstm import Lstm
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.probes.jacobian_normality import JacobianNormality
from rnnbench.probes.jacobian_product import JacobianProduct, pictured_lags, slope_against_lag
from rnnbench.probes.jacobian_push import JacobianPush
from rnnbench.probes.lyapunov import Lyapunov
from rnnbench.probes.trajectories import Visited, evenly_spaced

PUSH = {"num_directions": 2, "push_size": 1e-4, "push_steps": 5}
PROBES = [
    JacobianNormality(num_sequences=2, num_steps=3, picture_every=1),
    JacobianPush(num_sequences=2, num_steps=3, picture_every=1, **PUSH),
    JacobianProduct(num_sequences=2, picture_every=1),
    Lyapunov(num_sequences=2, picture_every=1),
]


def net(model, *, num_replicas=2, scale=0.4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(num_replicas, model.num_parameters, generator=generator, dtype=torch.float64)


def with_recurrent(model, weight):
    theta = net(model)
    model.parameters(theta)["weight_hh"][:] = weight
    return theta


def read(probe, model, theta, lengths, num_steps):
    view = look(model, theta, batch_of(len(theta), len(lengths), lengths, num_steps))
    reading = probe.capture(view)()
    check_columns(probe, view, reading)
    return reading


@pytest.mark.parametrize("model", [SimpleRnn(1, 1, 5), Lstm(1, 1, 4)], ids=["rnn", "lstm"])
@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: type(probe).__name__)
def test_every_probe_reads_every_model_and_draws(probe, model):
    reading = read(probe, model, net(model), [9, 8, 9], 9)
    assert all(value.isfinite().all() for tag, value in reading.scalars.items() if "_lag_" not in tag)
    assert reading.pictures
    for draw in reading.pictures.values():
        assert draw(1).startswith(PNG)
    never = type(probe)(**{**vars(probe), "picture_every": 0})
    assert not read(never, model, net(model), [9, 8, 9], 9).pictures


def test_a_linear_net_is_its_weight():
    model = SimpleRnn(1, 1, 6, "linear")
    theta = net(model)
    weight = model.parameters(theta)["weight_hh"]
    normality = read(PROBES[0], model, theta, [9, 8], 9).scalars
    push = read(PROBES[1], model, theta, [9, 8], 9).scalars
    product = read(PROBES[2], model, theta, [30, 28], 30).scalars
    exponents = read(PROBES[3], model, theta, [30, 28], 30).scalars
    for r in range(2):
        matrix = weight[r].numpy()
        values, sizes = np.linalg.eigvals(matrix), np.linalg.svd(matrix, compute_uv=False)
        frobenius = np.linalg.norm(matrix)
        departure = math.sqrt(frobenius**2 - (np.abs(values) ** 2).sum())
        assert normality["jacobian/largest_singular_value"][r].item() == pytest.approx(sizes[0])
        assert normality["jacobian/smallest_singular_value"][r].item() == pytest.approx(sizes[-1])
        assert normality["jacobian/departure_from_normality_absolute"][r].item() == pytest.approx(departure, rel=1e-6)
        assert normality["jacobian/departure_from_normality"][r].item() == pytest.approx(departure / frobenius)
        leading = sorted({round(math.log(abs(value)), 12) for value in values}, reverse=True)
        for tag in ("push_growth", "push_growth_by_product", "push_growth_by_eigenvalue"):
            assert push[f"jacobian/{tag}"][r].item() == pytest.approx(np.mean(leading[:2]), abs=1e-6)
        for lag in (1, 2, 5, 20):
            power = np.linalg.svd(np.linalg.matrix_power(matrix, lag), compute_uv=False)
            assert product[f"jacobian/product_log_norm_lag_{lag}"][r].item() == pytest.approx(math.log(power[0]))
            rank = (power**2).sum() / power[0] ** 2
            assert product[f"jacobian/product_stable_rank_lag_{lag}"][r].item() == pytest.approx(rank)
        mean = np.linalg.slogdet(matrix).logabsdet / 6
        assert exponents["lyapunov/mean"][r].item() == pytest.approx(mean)


def test_an_orthogonal_linear_net_forgets_nothing():
    model = SimpleRnn(1, 1, 6, "linear")
    frame = torch.linalg.qr(torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(0)).double()).Q
    theta = with_recurrent(model, frame)
    product = read(PROBES[2], model, theta, [50, 50], 50).scalars
    exponents = read(PROBES[3], model, theta, [50, 50], 50).scalars
    assert product["jacobian/product_log_norm_per_step"].abs().max() < 1e-12
    assert torch.allclose(product["jacobian/product_stable_rank_lag_20"], torch.full((2,), 6.0).double())
    assert exponents["lyapunov/largest"].abs().max() < 1e-12
    assert exponents["lyapunov/share_kept"].tolist() == [1.0, 1.0]
    assert read(PROBES[0], model, theta, [9, 9], 9).scalars["jacobian/departure_from_normality"].max() < 1e-7


@pytest.mark.parametrize(("weight", "slope"), [(1.25, 0.619), (2.0, 0.167)])
def test_a_latch_forgets_at_the_slope_of_its_fixed_point(weight, slope):
    model = SimpleRnn(1, 1, 1)
    theta = torch.zeros(1, model.num_parameters, dtype=torch.float64)
    parameters = model.parameters(theta)
    parameters["weight_hh"][:], parameters["initial_state"][:], parameters["weight_out"][:] = weight, 0.9, 1.0
    product = read(PROBES[2], model, theta, [200, 200], 200).scalars
    late = product["jacobian/product_log_norm_lag_100"] - product["jacobian/product_log_norm_lag_50"]
    assert math.exp(late.item() / 50) == pytest.approx(slope, abs=1e-3)
    assert product["jacobian/product_log_norm_lag_100"].item() < -40  # float32 would be a denormal, or 0, soon


def steps_of(model, theta, batch, k, length):
    """The Jacobians of one sequence of a tanh net, written out."""
    p = {name: view[0] for name, view in model.parameters(theta).items()}
    h, jacobians = p["initial_state"], []
    for t in range(length):
        h = torch.tanh(p["weight_hh"] @ h + p["weight_ih"] @ batch.inputs[t, 0, k] + p["bias"])
        jacobians.append((torch.diag(1 - h**2) @ p["weight_hh"]).numpy())
    return jacobians


def test_products_end_at_each_sequences_own_end():
    model = SimpleRnn(1, 1, 4)
    theta, batch = net(model, num_replicas=1, scale=0.8), batch_of(1, 2, [12, 9], 12)
    product = JacobianProduct(num_sequences=2, picture_every=0).capture(look(model, theta, batch))().scalars
    norms, ranks = [], []
    for k, length in enumerate([12, 9]):
        dense = np.linalg.multi_dot(steps_of(model, theta, batch, k, length)[:-6:-1])
        norms.append(math.log(np.linalg.norm(dense, 2)))
        ranks.append((np.linalg.norm(dense) / np.linalg.norm(dense, 2)) ** 2)
    assert product["jacobian/product_log_norm_lag_5"].item() == pytest.approx(np.mean(norms))
    assert product["jacobian/product_stable_rank_lag_5"].item() == pytest.approx(np.mean(ranks))
    assert product["jacobian/product_log_norm_lag_10"].isnan().all()  # the shorter sequence has no such lag


def test_a_push_meets_the_inputs_that_follow():
    """States before steps 1 and 7 of sequences of 9, the three steps after each."""
    model, probe = SimpleRnn(1, 1, 4), JacobianPush(2, 2, 1, 1e-5, 3, picture_every=0)
    theta, batch = net(model, num_replicas=1, scale=0.8), batch_of(1, 2, [9, 10], 10)
    found = probe.capture(look(model, theta, batch))().scalars
    growth = []
    for k in range(2):
        jacobians = steps_of(model, theta, batch, k, 9)
        for start in (0, 6):
            values, vectors = np.linalg.eig(jacobians[start])
            pushed = vectors[:, np.abs(values).argmax()]
            growth.append(
                math.log(np.linalg.norm(np.linalg.multi_dot([*jacobians[start : start + 3][::-1], pushed]))) / 3
            )
    assert found["jacobian/push_growth_by_product"].item() == pytest.approx(np.mean(growth))
    assert found["jacobian/push_growth"].item() == pytest.approx(np.mean(growth), abs=1e-4)


def test_jacobians_in_turn_are_those_at_once(monkeypatch):
    model, theta = SimpleRnn(1, 1, 3), net(SimpleRnn(1, 1, 3))
    generator = torch.Generator().manual_seed(1)
    states = torch.randn(10, 2, 2, 3, generator=generator, dtype=torch.float64)
    visited = Visited(model, theta, states, torch.randn(10, 2, 2, 1, generator=generator, dtype=torch.float64))
    monkeypatch.setattr("rnnbench.diagnostics.jacobians_in_turn.BYTES_AT_ONCE", 3 * 2 * 2 * 9 * 8)
    in_turn, at_once = visited.jacobians_in_turn(), visited.jacobians()
    for step in (0, 4, 9, -1, -7, 5):
        assert torch.equal(in_turn[step], at_once[step])
    assert torch.equal(torch.stack([in_turn[k] for k in range(len(in_turn))]), at_once)
    with pytest.raises(IndexError):
        in_turn[10]


def test_slopes_and_lags():
    curve = torch.tensor([[0.0, 0.0], [-1.0, -2.0], [-math.inf, -4.0], [-3.0, -6.0]], dtype=torch.float64)
    lag = torch.arange(4).unsqueeze(1)
    assert slope_against_lag(curve, lag).tolist() == pytest.approx([-1.0, -2.0])
    assert slope_against_lag(curve[[0, 1, 3]], lag[[0, 1, 3]]).tolist() == pytest.approx([-1.0, -2.0])
    assert slope_against_lag(torch.full((4, 1), -math.inf).double(), lag).isnan().all()
    assert pictured_lags(3) == [0, 1, 2, 3]
    assert (pictured_lags(500)[0], pictured_lags(500)[-1], len(pictured_lags(500))) == (0, 500, 12)


@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: type(probe).__name__)
def test_short_sequences(probe, length):
    model = SimpleRnn(1, 1, 3, "relu")
    reading = read(probe, model, net(model), [length, length], length)
    for draw in reading.pictures.values():
        assert draw(0).startswith(PNG)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: type(probe).__name__)
def test_a_net_that_forgets_everything_at_once(probe):
    """Every Jacobian is zero: logarithms are -inf, and pictures are drawn all the same."""
    model = SimpleRnn(1, 1, 3)
    reading = read(probe, model, torch.zeros(1, model.num_parameters, dtype=torch.float64), [8, 8], 8)
    for draw in reading.pictures.values():
        assert draw(0).startswith(PNG)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: type(probe).__name__)
def test_memory_grows_with_the_state_and_the_replicas(probe):
    small, large = (probe.num_bytes(SimpleRnn(1, 1, n), 50, r) for n, r in ((10, 1), (100, 8)))
    assert 0 < small < large
    assert large >= 8 * probe.num_sequences * 100**2 * 8


def test_states_are_evenly_spaced_over_each_replicas_own_steps():
    assert evenly_spaced(torch.tensor([9, 3, 0]), 4).T.tolist() == [[0, 3, 6, 9], [0, 1, 2, 3], [0, 0, 0, 0]]
    assert evenly_spaced(torch.tensor([9, 3]), 1).tolist() == [[0, 0]]


def test_what_is_not_known_is_above_nothing():
    values = torch.tensor([[0.5, 2.0, 3.0, 0.1], [torch.nan, 2.0, 3.0, 0.1]])
    assert str(share_above(values, 1.0).tolist()) == "[0.5, nan]"
