"""Hessian-free against closed forms on a quadratic."""

import dataclasses

import pytest
import torch
from hessian_free_cases import Quadratic, column, hessian_free, problem

from rnnbench.optim import hessian_free_step
from rnnbench.optim.hessian_free_metrics import Outcome
from rnnbench.tasks.base import Stream


def test_one_update_solves_the_damped_quadratic():
    matrix, b = problem()
    damping = column(0.5, 2.0)
    optimizer = hessian_free(2, damping=damping)
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
    optimizer = hessian_free(2, damping=column(1e-8, 1e-8))
    theta = torch.zeros(2, 6, dtype=torch.float64)
    update = optimizer.update(theta, optimizer.initial_state(theta), 0, lambda stream, size: Quadratic(matrix, b))
    assert torch.allclose(update.theta, torch.linalg.solve(matrix, b), rtol=1e-6)


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
        def linearize(self, *arguments):
            operator = super().linearize(*arguments)
            product = operator.product
            operator.product = lambda vector, active=None: seen.append(vector.clone()) or product(vector)
            return operator

    state = {**optimizer.initial_state(theta), "solution": last}
    optimizer.update(theta, state, 0, lambda stream, size: Watched(matrix, b))
    assert torch.allclose(seen[0], 0.5 * last)


def test_batches_come_from_their_streams_with_their_sizes():
    matrix, b = problem()
    theta = torch.ones(2, 6, dtype=torch.float64)
    optimizer = hessian_free(2)
    drawn = []

    def draw(stream, size):
        drawn.append((int(stream), size))
        return Quadratic(matrix, b)

    optimizer.update(theta, optimizer.initial_state(theta), 0, draw)
    assert drawn == [(0, 40), (2, 20), (3, 20)]
    assert optimizer.num_drawn_sequences == 40 + 20 + 20
    assert optimizer.num_kept_sequences == 20


def test_iterations_grow_with_the_root_of_a_low_damping():
    """From max_cg_iterations, at a damping of 3e-3 or more, to max_cg_factor times as many."""
    damping = column(1.0, 3e-3, 3e-3 / 4, 3e-3 / 8, 1e-8)
    matrix = torch.diag_embed(torch.logspace(0, 4, 60, dtype=torch.float64).expand(5, -1))
    optimizer = hessian_free(5, damping=damping, max_cg_iterations=4, max_cg_factor=5)
    theta = torch.ones(5, 60, dtype=torch.float64)
    objective = Quadratic(matrix, torch.zeros_like(theta))
    update = optimizer.update(theta, optimizer.initial_state(theta), 0, lambda stream, size: objective)
    assert update.metrics["hf/cg_iterations"].tolist() == [4, 4, 8, 11, 20]


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


def one_update(optimizer, theta, **changes):
    matrix, b = problem()
    objective = Quadratic(matrix, b, **changes)
    state = optimizer.initial_state(theta)
    return matrix, b, optimizer.update(theta, state, 0, lambda stream, size: objective)


THETA = torch.linspace(-1, 2, 12, dtype=torch.float64).view(2, 6)


def test_weight_decay_is_part_of_gradient_product_and_loss():
    """One exact step minimizes the damped quadratic with the penalty; the ratio sees the penalty in both changes."""
    decay, damping = column(0.3, 2.0), column(0.5, 0.1)
    matrix, b, update = one_update(hessian_free(2, damping=damping, weight_decay=decay), THETA)
    penalized = matrix + decay.unsqueeze(-1) * torch.eye(6)
    gradient = torch.einsum("rij,rj->ri", penalized, THETA) - b
    damped = penalized + damping.unsqueeze(-1) * torch.eye(6)
    step = torch.linalg.solve(damped, -gradient)
    assert torch.allclose(update.theta, THETA + step, rtol=1e-8)
    predicted = 0.5 * (gradient * step).sum(1)
    actual = (gradient * step).sum(1) + 0.5 * torch.einsum("ri,rij,rj->r", step, penalized, step)
    assert torch.allclose(update.metrics["hf/reduction_ratio"], actual / predicted)
    assert torch.allclose(update.gradient.loss, Quadratic(matrix, b).loss(THETA))  # what is recorded is the loss alone


def test_an_undamped_prediction_makes_the_ratio_of_a_quadratic_one():
    _, _, update = one_update(hessian_free(2, reduction_ratio="undamped", weight_decay=column(0.0, 0.4)), THETA)
    assert torch.allclose(update.metrics["hf/reduction_ratio"], torch.ones(2, dtype=torch.float64))


def test_structural_damping_is_scaled_with_the_damping():
    seen = []

    class Watched(Quadratic):
        def linearize(self, theta, structural_damping=None, normalization=None):
            seen.append((structural_damping, normalization))
            return super().linearize(theta)

    matrix, b = problem()
    optimizer = hessian_free(
        2,
        damping=column(0.5, 2.0),
        structural_damping=column(0.3, 0.0),
        structural_normalization="loss",
    )
    optimizer.update(THETA, optimizer.initial_state(THETA), 0, lambda stream, size: Watched(matrix, b))
    weight, normalization = seen[0]
    assert weight.flatten().tolist() == [0.15, 0]
    assert normalization == "loss"
    assert optimizer.damps_states
    assert not hessian_free(structural_damping=column(0.0)).damps_states


def test_the_preconditioner_is_a_power_of_fisher_and_damping(monkeypatch):
    """With G diagonal and the exponent 1, M = F + lambda with F = diag(G) solves the system in one iteration."""
    diagonal = torch.logspace(-2, 3, 6, dtype=torch.float64).expand(2, -1)
    b = torch.ones_like(diagonal)
    objective = Quadratic(torch.diag_embed(diagonal), b, squares=diagonal)
    monkeypatch.setattr(hessian_free_step, "RESIDUAL_TOLERANCE", 1e-8)
    iterations = []
    for exponent in (1.0, 0.75):
        monkeypatch.setattr(hessian_free_step, "PRECONDITIONER_EXPONENT", exponent)
        optimizer = hessian_free(
            2, preconditioner="diagonal", damping=column(0.5, 0.5), weight_decay=column(0.005, 0.005)
        )
        update = optimizer.update(THETA, optimizer.initial_state(THETA), 0, lambda stream, size: objective)
        iterations.append(update.metrics["hf/cg_iterations"].max())
        gradient = diagonal * THETA - b + 0.005 * THETA
        assert torch.allclose(update.theta, THETA - gradient / (diagonal + 0.505), rtol=1e-6)
    assert iterations[0] <= 2 < iterations[1]


def test_a_rejected_step_may_raise_the_damping():
    matrix, b = problem()
    optimizer = hessian_free(2, rejected_damping="increase")

    def draw(stream, size):
        return Quadratic(matrix, b, scale=-1.0 if stream == Stream.LINE_SEARCH else 1.0)

    update = optimizer.update(THETA, optimizer.initial_state(THETA), 0, draw)
    assert torch.allclose(update.state["damping"], optimizer.damping * 1.5)
    assert (update.metrics["hf/reduction_ratio"] > 0.75).all()
    assert (update.metrics["hf/outcome"] == Outcome.REJECTED).all()


def test_failures_are_counted():
    matrix, b = problem()
    optimizer = hessian_free(2, rejected_damping="increase")
    state, theta = optimizer.initial_state(THETA), THETA
    seen, damping = [], []
    for k in range(5):

        def draw(stream, size, k=k):
            return Quadratic(matrix, b, scale=-1.0 if stream == Stream.LINE_SEARCH and k < 3 else 1.0)

        update = optimizer.update(theta, state, k, draw)
        theta, state = update.theta, update.state
        seen.append(update.metrics["hf/failures"].tolist())
        damping.append(update.metrics["hf/damping"][0].item())
    assert seen == [[n, n] for n in (1, 2, 3, 0, 0)]
    assert damping[:4] == pytest.approx([0.1, 0.15, 0.225, 0.3375])


def test_at_the_minimum_nothing_moves_and_every_number_is_finite():
    matrix, b = problem()
    optimum = torch.linalg.solve(matrix, b)
    optimizer = hessian_free(2)
    state = optimizer.initial_state(optimum)
    for k in range(3):
        update = optimizer.update(optimum, state, k, lambda stream, size: Quadratic(matrix, b))
        state = update.state
        assert all(value.isfinite().all() for value in update.metrics.values())
        assert torch.allclose(update.theta, optimum, rtol=1e-12)
        assert (update.metrics["hf/outcome"] == Outcome.WITHIN_ROUNDING).all()
        assert torch.equal(state["damping"], optimizer.damping)


def test_a_loss_that_overflows_is_a_failure_with_finite_numbers():
    matrix, b = problem()

    class Cliff(Quadratic):
        def loss(self, theta):
            return torch.where(
                (theta == THETA).all(1), super().loss(theta), torch.tensor([torch.nan, torch.inf]).double()
            )

    optimizer = hessian_free(2)
    update = optimizer.update(THETA, optimizer.initial_state(THETA), 0, lambda stream, size: Cliff(matrix, b))
    assert all(value.isfinite().all() for value in update.metrics.values())
    assert torch.equal(update.theta, THETA)
    assert (update.metrics["hf/failures"] == 1).all()
    assert torch.allclose(update.state["damping"], optimizer.damping * 1.5)


def test_damping_at_its_limit_is_a_stall():
    matrix, b = problem()
    optimizer = hessian_free(2, damping=column(1e8, 0.1), rejected_damping="increase")

    def draw(stream, size):
        return Quadratic(matrix, b, scale=-1.0 if stream == Stream.LINE_SEARCH else 1.0)

    update = optimizer.update(THETA, optimizer.initial_state(THETA), 0, draw)
    assert optimizer.is_stalled(update).tolist() == [True, False]
    assert "task.first_length" in optimizer.stalled_message


def test_a_step_that_only_the_fresh_sequences_like_is_rejected_when_the_search_sees_both():
    """The loss of the line search's own 20 sequences falls by less than that of the curvature's 20 rises."""
    matrix, b = problem()

    def draw(stream, size):
        # The gradient is that of the quadratic, and so is the model; the loss of the curvature batch rises twofold.
        return Quadratic(matrix, b, scale=1.0 if stream == Stream.LINE_SEARCH else -2.0, size=20)

    sizes = {}
    for batch in ("fresh", "both"):
        optimizer = hessian_free(2, line_search_batch=batch, backtracking="none")
        update = optimizer.update(THETA, optimizer.initial_state(THETA), 0, draw)
        sizes[batch] = update.metrics["hf/step_size"].tolist()
        assert torch.equal(update.theta, THETA) == (batch == "both")
    assert sizes == {"fresh": [1, 1], "both": [0, 0]}


def test_a_start_that_cg_cannot_make_up_for_is_dropped_and_the_damping_stays():
    matrix, b = problem()
    optimizer = hessian_free(2, max_cg_iterations=1, backtracking="none")
    start = torch.tensor([[1e3], [1e-3]], dtype=torch.float64) * torch.ones_like(THETA)
    state = {**optimizer.initial_state(THETA), "solution": start}
    update = optimizer.update(THETA, state, 0, lambda stream, size: Quadratic(matrix, b))
    assert (update.metrics["hf/predicted_reduction"] > 0).tolist() == [False, True]
    assert update.state["damping"][0] == state["damping"][0]
    assert update.state["damping"][1] != state["damping"][1]
    assert (update.state["solution"] != 0).any(1).tolist() == [False, True]
    assert update.metrics["hf/failures"].tolist() == [1, 0]
