"""Hessian-free against closed forms on a quadratic, and each of its rules by hand."""

import dataclasses

import pytest
import torch

from rnnbench.curvature.conjugate_gradient import CgResult, Iterate
from rnnbench.curvature.engine import Engine
from rnnbench.curvature.objective import Gradient, Objective
from rnnbench.losses import LOSSES
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.optim.hessian_free import HessianFree, backtrack
from rnnbench.tasks.adding import Adding
from rnnbench.tasks.base import Stream


def column(*values):
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def hessian_free(num_replicas=1, **changes):
    def same(value):
        return column(*[value] * num_replicas)

    defaults = {
        "gradient_batch_size": 40,
        "curvature_batch_size": 20,
        "curvature_source": "subset",
        "backtracking_batch_size": 20,
        "line_search_batch_size": 20,
        "damping": same(0.1),
        "damping_increase": same(1.5),
        "damping_decrease": same(2 / 3),
        "min_damping": same(1e-8),
        "max_damping": same(1e8),
        "structural_damping": same(0.3),
        "max_cg_iterations": 50,
        "cg_tolerance": same(5e-4),
        "warm_start_decay": same(0.95),
        "line_search_decrease": 0.8,
        "max_line_search_steps": 50,
    }
    return HessianFree(**{**defaults, **changes})


class Quadratic:
    """loss = x^T A x / 2 - b^T x + constant, per replica; its own Gauss-Newton matrix is A."""

    def __init__(self, matrix, b, *, scale=1.0):
        self.matrix, self.b, self.scale = matrix, b, scale

    def loss(self, theta):
        x = theta.double()
        return self.scale * (0.5 * torch.einsum("ri,rij,rj->r", x, self.matrix, x) - (self.b * x).sum(1))

    def loss_and_gradient(self, theta):
        return Gradient(self.loss(theta), torch.einsum("rij,rj->ri", self.matrix, theta) - self.b, None, None, 1)

    def rows(self, start, stop):
        return self

    def linearize(self, theta, structural_damping=None):
        quadratic = self

        class Operator:
            loss = quadratic.loss(theta)

            def product(self, vector, active=None):
                return torch.einsum("rij,rj->ri", quadratic.matrix, vector)

        return Operator()


def problem(num_replicas=2, size=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(num_replicas, size, size, generator=generator, dtype=torch.float64)
    return root @ root.mT + torch.eye(size), torch.randn(num_replicas, size, generator=generator, dtype=torch.float64)


def test_one_update_solves_the_damped_quadratic():
    matrix, b = problem()
    damping = column(0.5, 2.0)
    optimizer = hessian_free(2, damping=damping, cg_tolerance=column(0.0, 0.0))
    theta = torch.ones(2, 6, dtype=torch.float64)
    update = optimizer.update(theta, optimizer.initial_state(theta), 0, lambda stream, size: Quadratic(matrix, b))
    gradient = torch.einsum("rij,rj->ri", matrix, theta) - b
    damped = matrix + damping.unsqueeze(-1) * torch.eye(6)
    step = torch.linalg.solve(damped, -gradient)
    assert torch.allclose(update.theta, theta + step, rtol=1e-8)
    predicted = (gradient * step).sum(1) + 0.5 * torch.einsum("ri,rij,rj->r", step, damped, step)
    actual = (gradient * step).sum(1) + 0.5 * torch.einsum("ri,rij,rj->r", step, matrix, step)
    assert torch.allclose(update.metrics["hf/predicted_reduction"], -predicted)
    assert torch.allclose(update.metrics["hf/reduction_ratio"], actual / predicted)
    # The model is exact but for the damping, which makes it pessimistic: the ratio is above 1, the damping falls.
    assert torch.allclose(update.state["damping"], damping * 2 / 3)
    assert (update.metrics["hf/step_size"] == 1).all()


def test_without_damping_it_is_newtons_method():
    matrix, b = problem()
    optimizer = hessian_free(2, damping=column(1e-8, 1e-8), cg_tolerance=column(0.0, 0.0))
    theta = torch.zeros(2, 6, dtype=torch.float64)
    update = optimizer.update(theta, optimizer.initial_state(theta), 0, lambda stream, size: Quadratic(matrix, b))
    assert torch.allclose(update.theta, torch.linalg.solve(matrix, b), rtol=1e-6)


@pytest.mark.parametrize(
    ("ratio", "factor"), [(0.24, 1.5), (0.26, 1.0), (0.74, 1.0), (0.76, 2 / 3), (-5.0, 1.5), (torch.nan, 1.5)]
)
def test_damping_rule(ratio, factor):
    optimizer = hessian_free()
    after = optimizer._next_damping(column(0.2), torch.tensor([ratio], dtype=torch.float64))
    assert after.item() == pytest.approx(0.2 * factor)


def test_damping_stays_inside_its_limits():
    optimizer = hessian_free(min_damping=column(0.15), max_damping=column(0.25))
    high, low = torch.tensor([2.0]).double(), torch.tensor([0.0]).double()
    assert optimizer._next_damping(column(0.2), high).item() == 0.15
    assert optimizer._next_damping(column(0.2), low).item() == 0.25


class Valley:
    """A loss of one parameter by a table: for rules that look at losses only."""

    def __init__(self, function):
        self.function = function

    def loss(self, theta):
        return torch.stack([torch.as_tensor(self.function(r, x.item())) for r, x in enumerate(theta[:, 0])]).double()


def test_line_search_takes_the_first_size_that_lowers_the_loss():
    # Replica 0 improves at once, replica 1 below a step of 0.6, replica 2 never, replica 3 meets NaN first.
    def function(replica, x):
        return [-x, x if x > 0.6 else -x, x, float("nan") if x > 0.9 else -x][replica]

    optimizer = hessian_free(4)
    sizes = optimizer._line_search(Valley(function), torch.zeros(4, 1), torch.ones(4, 1))
    assert sizes.tolist() == pytest.approx([1.0, 0.8**3, 0.0, 0.8])


def test_a_rejected_step_keeps_theta_and_drops_the_warm_start():
    matrix, b = problem()
    optimizer = hessian_free(2)
    theta = torch.ones(2, 6, dtype=torch.float64)

    def draw(stream, size):
        return Quadratic(matrix, b, scale=-1.0 if stream == Stream.LINE_SEARCH else 1.0)

    update = optimizer.update(theta, optimizer.initial_state(theta), 0, draw)
    assert torch.equal(update.theta, theta)
    assert torch.equal(update.state["solution"], torch.zeros_like(theta))
    assert (update.metrics["hf/step_size"] == 0).all()
    accepted = optimizer.update(theta, optimizer.initial_state(theta), 0, lambda s, n: Quadratic(matrix, b))
    assert (accepted.state["solution"] != 0).all()


def test_cg_starts_from_the_decayed_last_solution():
    matrix, b = problem()
    optimizer = hessian_free(2, max_cg_iterations=1, warm_start_decay=column(0.5, 0.5))
    theta = torch.ones(2, 6, dtype=torch.float64)
    last = torch.full_like(theta, 0.3)
    seen = []

    class Watched(Quadratic):
        def linearize(self, theta, structural_damping=None):
            operator = super().linearize(theta)
            product = operator.product
            operator.product = lambda vector, active=None: seen.append(vector.clone()) or product(vector)
            return operator

    state = {**optimizer.initial_state(theta), "solution": last}
    optimizer.update(theta, state, 0, lambda stream, size: Watched(matrix, b))
    assert torch.allclose(seen[0], 0.5 * last)


def test_backtracking_walks_back_while_the_loss_falls():
    # Kept iterates at x = 1, 2, 3, 4; the losses make replica 0 stop at 4, replica 1 at 2, replica 2 at 3: a better
    # iterate behind a worse one is not reached.
    losses = [{1: 0, 2: 9, 3: 5, 4: 1}, {1: 3, 2: 1, 3: 2, 4: 3}, {1: 0, 2: 9, 3: 1, 4: 2}]
    iterates = [
        Iterate(torch.full((3, 1), float(x)).double(), torch.full((3,), -10.0 * x).double()) for x in (1, 2, 3, 4)
    ]
    solved = CgResult(iterates, torch.full((3,), 4.0), torch.zeros(3))
    objective = Valley(lambda replica, x: float(losses[replica][round(x)]))
    step, quadratic, count = backtrack(objective, torch.zeros(3, 1), solved)
    assert step.flatten().tolist() == [4, 2, 3]
    assert quadratic.tolist() == [-40, -20, -30]
    assert count.tolist() == [0, 2, 1]


def test_batches_come_from_their_streams_with_their_sizes():
    matrix, b = problem()
    theta = torch.ones(2, 6, dtype=torch.float64)
    for source, expected in (("subset", [(0, 40), (2, 21), (3, 22)]), ("fresh", [(0, 40), (1, 20), (2, 21), (3, 22)])):
        optimizer = hessian_free(2, curvature_source=source, backtracking_batch_size=21, line_search_batch_size=22)
        drawn = []

        def draw(stream, size, drawn=drawn):
            drawn.append((int(stream), size))
            return Quadratic(matrix, b)

        optimizer.update(theta, optimizer.initial_state(theta), 0, draw)
        assert drawn == expected
        assert optimizer.num_drawn_sequences == sum(size for _, size in expected)


def train(num_updates, seeds, optimizer, dtype=torch.float64):
    task = Adding(sequence_length=20, variant="hf11")
    model = SimpleRnn(2, 1, 8)
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        rows.append(0.4 * torch.randn(model.num_parameters, generator=generator, dtype=torch.float64))
    theta = torch.stack(rows).to(dtype)
    state, engine = optimizer.initial_state(theta), Engine(model, dtype=dtype)
    for k in range(num_updates):

        def draw(stream, size, k=k):
            return Objective(engine, LOSSES["squared_error"], task.batch(seeds, stream, k, size, dtype=dtype))

        update = optimizer.update(theta, state, k, draw)
        theta, state = update.theta, update.state
    return theta, state


def test_replica_law():
    """theta within 1e-8 after three updates, with different hyperparameters side by side."""
    optimizer = hessian_free(
        3,
        damping=column(0.1, 1.0, 0.02),
        structural_damping=column(0.0, 0.3, 1.0),
        warm_start_decay=column(0.95, 0.5, 0.0),
        max_cg_iterations=10,
    )
    together, state = train(3, [3, 4, 5], optimizer)
    for r, seed in enumerate([3, 4, 5]):
        alone, own = train(3, [seed], optimizer.replicas(torch.tensor([r])))
        assert (together[r] - alone[0]).abs().max() < 1e-8
        assert state["damping"][r] == own["damping"][0]


def test_inputs_are_not_changed():
    matrix, b = problem()
    optimizer = hessian_free(2)
    theta = torch.ones(2, 6, dtype=torch.float64)
    state = optimizer.initial_state(theta)
    before = {name: tensor.clone() for name, tensor in state.items()}
    optimizer.update(theta, state, 0, lambda stream, size: Quadratic(matrix, b))
    assert torch.equal(theta, torch.ones_like(theta))
    assert all(torch.equal(state[name], before[name]) for name in state)


def test_every_metric_has_its_sentence():
    matrix, b = problem()
    optimizer = hessian_free(2)
    theta = torch.ones(2, 6, dtype=torch.float64)
    update = optimizer.update(theta, optimizer.initial_state(theta), 0, lambda stream, size: Quadratic(matrix, b))
    assert list(update.metrics) == [metric.tag for metric in optimizer.metrics]
    assert {"hf/damping", "hf/cg_iterations"} <= set(optimizer.shown_metrics)
    assert dataclasses.is_dataclass(optimizer)
