"""What Hessian-free is compared with computes the same, as often."""

import numpy as np
import pytest
import torch

from benchmarks import comparison, peers_optional, systems
from benchmarks.comparison import measure_comparison
from benchmarks.options import Options
from rnnbench.bench.case import Computation, MismatchError, Way, make_case
from rnnbench.bench.options import Shape
from rnnbench.objective.gauss_newton import GaussNewton

# torch.func imports what torch has deprecated itself
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

TINY = Shape(1, 12, 5, 6)
WAYS = [pytest.param(way, id=way.name) for way in [systems.OURS, *peers_optional.installed(systems.OTHERS)]]


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(comparison, "SHAPE", TINY)
    monkeypatch.setattr(systems, "NUM_ITERATIONS", 4)


def dense_solution(case, num_iterations):
    """Textbook conjugate gradients with a dense matrix, in float64."""
    theta = case.theta.double().requires_grad_()

    def outputs(theta):
        weights = {name: part[0] for name, part in case.model.parameters(theta).items()}
        hidden = weights["initial_state"].expand(case.shape.sequences, -1)
        for x in case.batch.inputs[:, 0].double():
            hidden = torch.tanh(hidden @ weights["weight_hh"].T + x @ weights["weight_ih"].T + weights["bias"])
        return hidden @ weights["weight_out"].T + weights["bias_out"]

    jacobian = torch.autograd.functional.jacobian(outputs, theta).flatten(0, 1).squeeze(1).numpy()  # (B o, P)
    errors = (outputs(theta).detach() - case.targets[0]).flatten().numpy()
    scale = 2 / case.shape.sequences
    matrix = scale * jacobian.T @ jacobian + systems.DAMPING * np.eye(jacobian.shape[1])
    x, residual = np.zeros(len(matrix)), -scale * jacobian.T @ errors
    direction = residual
    for _ in range(num_iterations):
        step = residual @ residual / (direction @ matrix @ direction)
        x, following = x + step * direction, residual - step * matrix @ direction
        direction = following + (following @ following) / (residual @ residual) * direction
        residual = following
    return x


@pytest.mark.parametrize("way", WAYS)
def test_every_way_makes_so_many_iterations(way, tiny):
    case = make_case(TINY)
    computation = way.make(case, 1)
    found = computation.rows(computation.run())[0].numpy()
    computation.close()
    exact = dense_solution(case, 4)
    assert np.linalg.norm(found - exact) <= 1e-4 * np.linalg.norm(exact)
    assert np.linalg.norm(dense_solution(case, 5) - exact) > 1e-3 * np.linalg.norm(exact)


def test_a_product_for_each_iteration_and_one_more(tiny, monkeypatch):
    products = []
    multiply = GaussNewton.product
    monkeypatch.setattr(GaussNewton, "product", lambda *words: products.append(1) or multiply(*words))
    computation = systems.OURS.make(make_case(TINY), 1)
    computation.run()
    assert len(products) == 5


def test_products_are_equal_to_float32_accuracy(tiny, announcer):
    reports = list(measure_comparison(Options(rounds=2), [1, 2], announcer, seconds=0.0))
    assert [report.data["threads"] for report in reports] == [1, 2]
    for report in reports:
        first, *others = report.data["comparison"]
        assert (first["name"], first["ratio"]["median"]) == ("rnnbench Gauss-Newton product", 1)
        assert {way["section"] for way in others} == {"product", "4 CG iterations"}
        for way in (first, *others):
            assert 0 < way["difference"] < (2e-6 if way["section"] == "product" else 1e-4), way["name"]
            assert len(way["seconds_per_product"]) == 2
        for row, way in zip([row for row in report.rows if row is not None], [first, *others], strict=True):
            assert row[-1] == f"{way['difference']:.1e}"


def test_what_solves_another_system_is_refused(tiny, announcer, monkeypatch):
    def make(case, threads):
        right = systems.our_system(case, threads)
        return Computation(right.run, lambda x: 1.1 * x, right.close)

    monkeypatch.setattr(systems, "OTHERS", {"torch": (Way("the wrong one", make, threading="own"),)})
    with pytest.raises(MismatchError, match="the wrong one"):
        list(measure_comparison(Options(rounds=1), [1], announcer, seconds=0.0))


def test_what_is_missing_is_said(tiny, announcer, monkeypatch):
    monkeypatch.setattr(peers_optional, "is_installed", lambda module: False)
    (report,) = measure_comparison(Options(rounds=1), [1], announcer, seconds=0.0)
    assert "curvlinops" in report.notes[0]
    assert "pip install git+https://github.com/ltatzel/PyTorchHessianFree" in report.notes[0]


def test_times_are_those_of_a_product(tiny, announcer, monkeypatch):
    def interleave(variants, lanes, **_):
        slow = "product: kept double backward"
        return {one.name: [10.0, 20.0 if one.name == slow else 10.0] for one in variants}

    monkeypatch.setattr(comparison, "interleave", interleave)
    (report,) = measure_comparison(Options(), [1], announcer, seconds=0.0)
    found = {way["name"]: way for way in report.data["comparison"]}
    assert found["rnnbench Gauss-Newton product"]["seconds_per_product"] == [10.0, 10.0]
    assert found["rnnbench"]["seconds_per_product"] == [2.0, 2.0]
    assert found["kept double backward"]["ratio"]["median"] == 1.5
