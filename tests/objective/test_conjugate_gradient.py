"""Conjugate gradients against dense solutions, and their stopping rules one by one."""

import pytest
import torch

from rnnbench.objective.conjugate_gradient import (
    CgRules,
    TerminationReason,
    conjugate_gradient,
)


def positive_definite(num_replicas, size, condition, seed=0):
    generator = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(num_replicas, size, size, generator=generator, dtype=torch.float64)).Q
    values = torch.logspace(0, torch.log10(torch.tensor(float(condition))).item(), size, dtype=torch.float64)
    return q @ torch.diag(values) @ q.mT, torch.randn(num_replicas, size, generator=generator, dtype=torch.float64)


def rules(num_replicas, max_iterations=100, tolerance=0.0, **others):
    tolerances = {"tolerance": tolerance, "residual_tolerance": others.pop("residual_tolerance", 1e-10)}
    columns = {name: torch.full((num_replicas,), value, dtype=torch.float64) for name, value in tolerances.items()}
    return CgRules(max_iterations=max_iterations, **columns, **others)


def solve(matrix, b, start=None, max_iterations=100, tolerance=0.0, preconditioner=None, **others):
    def product(vector, active):
        return torch.einsum("rij,rj->ri", matrix, vector)

    start = torch.zeros_like(b) if start is None else start
    return conjugate_gradient(product, b, start, rules(len(b), max_iterations, tolerance, **others), preconditioner)


def test_equals_the_dense_solution():
    matrix, b = positive_definite(3, 12, 1e3)
    result = solve(matrix, b)
    expected = torch.linalg.solve(matrix, b)
    assert (result.solution - expected).norm() / expected.norm() < 1e-9
    assert (result.reasons == TerminationReason.RESIDUAL).all()
    quadratic = 0.5 * torch.einsum("ri,rij,rj->r", expected, matrix, expected) - (b * expected).sum(1)
    assert torch.allclose(result.iterates[-1].quadratic, quadratic, rtol=1e-10)


def test_quadratic_of_every_kept_iterate_falls():
    matrix, b = positive_definite(2, 30, 1e4)
    result = solve(matrix, b, max_iterations=25)
    for iterate in result.iterates:
        x = iterate.solution
        expected = 0.5 * torch.einsum("ri,rij,rj->r", x, matrix, x) - (b * x).sum(1)
        assert torch.allclose(iterate.quadratic, expected, rtol=1e-9)
    values = torch.stack([iterate.quadratic for iterate in result.iterates])
    assert (values.diff(dim=0) < 0).all()
    assert len(result.iterates) == len(rules(1, 25).kept_iterations())
    assert (result.num_iterations == 25).all()
    assert (result.reasons == TerminationReason.MAX_ITERATIONS).all()


def test_a_good_start_is_kept():
    matrix, b = positive_definite(1, 10, 100)
    exact = torch.linalg.solve(matrix, b)
    result = solve(matrix, b, start=exact)
    assert result.num_iterations.item() <= 1
    assert torch.allclose(result.solution, exact, atol=1e-9)


def test_replicas_stop_by_themselves():
    """Each row of a batch equals the row alone, with its own count and reason."""
    easy, b_easy = positive_definite(1, 20, 2)
    hard, b_hard = positive_definite(1, 20, 1e3, seed=1)
    together = solve(torch.cat([easy, hard]), torch.cat([b_easy, b_hard]), max_iterations=60, tolerance=5e-3)
    for r, (matrix, b) in enumerate([(easy, b_easy), (hard, b_hard)]):
        alone = solve(matrix, b, max_iterations=60, tolerance=5e-3)
        assert together.num_iterations[r] == alone.num_iterations[0]
        assert together.reasons[r] == alone.reasons[0]
        assert torch.allclose(together.solution[r], alone.solution[0], rtol=1e-4)
    assert together.num_iterations[0] < together.num_iterations[1]


@pytest.mark.parametrize("limits", [{}, {"tolerance": 5e-3}, {"residual_tolerance": 1e-3}, {"max_iterations": 8}])
def test_to_look_less_often_changes_nothing(limits):
    """Not the iterates kept for backtracking either, nor a replica without curvature from some iteration on."""
    matrix, b = positive_definite(3, 30, 1e3)
    matrix[2, 0, 0] = -50.0
    every, seldom = (solve(matrix, b, sync_every=count, **{"max_iterations": 60, **limits}) for count in (1, 10))
    assert torch.equal(every.num_iterations, seldom.num_iterations)
    assert torch.equal(every.reasons, seldom.reasons)
    assert len(every.iterates) == len(seldom.iterates)
    for one, other in zip(every.iterates, seldom.iterates, strict=True):
        assert torch.equal(one.solution, other.solution)
        assert torch.equal(one.quadratic, other.quadratic)
        assert torch.equal(one.iteration, other.iteration)


def test_relative_progress_stops_at_the_rule():
    matrix, b = positive_definite(1, 60, 1e4)
    stopped = solve(matrix, b, max_iterations=200, tolerance=5e-3)
    assert stopped.reasons.item() == TerminationReason.PROGRESS
    last = int(stopped.num_iterations.item())
    phi = [0.0] + [solve(matrix, b, max_iterations=k).iterates[-1].quadratic.item() for k in range(1, last + 1)]

    def progress(i):
        window = max(10, i // 10)
        return (phi[i] - phi[i - window]) / phi[i] / window if i > window else float("inf")

    assert progress(last) < 5e-3
    assert all(progress(i) >= 5e-3 for i in range(1, last))


def test_a_direction_without_curvature_stops_before_it_is_taken():
    matrix = torch.diag(torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64)).unsqueeze(0)
    b = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
    result = solve(matrix, b)
    assert result.reasons.item() == TerminationReason.CURVATURE
    assert torch.equal(result.solution, torch.zeros_like(b))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_stops_its_replica_alone(bad):
    matrix, b = positive_definite(2, 8, 10)
    calls = 0

    def product(vector, active):
        nonlocal calls
        calls += 1
        image = torch.einsum("rij,rj->ri", matrix, vector)
        if calls > 3:
            image[0] = bad
        return image

    result = conjugate_gradient(product, b, torch.zeros_like(b), rules(2, 50))
    assert result.reasons[0] == TerminationReason.NOT_FINITE
    assert result.solution.isfinite().all()
    assert torch.allclose(result.solution[1], torch.linalg.solve(matrix[1], b[1]), atol=1e-8)


def test_a_replica_stops_at_its_own_limit():
    """Each row equals the row alone with this limit for all."""
    matrix, b = positive_definite(3, 30, 100)
    limits = torch.tensor([4.0, 9.0, 25.0], dtype=torch.float64)
    together = solve(matrix, b, max_iterations=14, limits=limits)
    assert together.num_iterations.tolist() == [4, 9, 14]
    assert (together.reasons == TerminationReason.MAX_ITERATIONS).all()
    for r, limit in enumerate([4, 9, 14]):
        alone = solve(matrix[r : r + 1], b[r : r + 1], max_iterations=limit)
        assert torch.allclose(together.solution[r], alone.solution[0], rtol=1e-6)


def test_kept_iterations_grow_and_end_at_the_limit():
    assert sorted(rules(1, 10).kept_iterations()) == [1, 2, 3, 4, 5, 7, 9, 10]
    assert max(rules(1, 250).kept_iterations()) == 250
    assert len(rules(1, 250).kept_iterations()) < 25
    assert sorted(rules(1, 10, keep_every=4).kept_iterations()) == [4, 8, 10]
    assert sorted(rules(1, 3, keep_every=4).kept_iterations()) == [3]


def test_a_window_puts_progress_off():
    matrix, b = positive_definite(1, 20, 2)
    early = solve(matrix, b, tolerance=1e-2, residual_tolerance=0.0, max_iterations=40)
    wide = solve(matrix, b, tolerance=1e-2, residual_tolerance=0.0, max_iterations=40, window=15)
    assert early.num_iterations.item() == 11
    assert wide.num_iterations.item() == 16
    assert all(result.reasons.item() == TerminationReason.PROGRESS for result in (early, wide))


def test_residual_tolerance_stops():
    matrix, b = positive_definite(2, 12, 1e3)
    result = solve(matrix, b, residual_tolerance=0.1)
    residual = (b - torch.einsum("rij,rj->ri", matrix, result.solution)).norm(dim=1)
    assert (residual < 0.1).all()
    assert (result.num_iterations < solve(matrix, b).num_iterations).all()


def test_preconditioned_iterates_are_those_of_the_changed_variables():
    """CG with M on A equals plain CG on M^-1/2 A M^-1/2, mapped back."""
    matrix, b = positive_definite(2, 15, 1e2)
    start = 0.1 * torch.ones_like(b)
    diagonal = torch.logspace(-2, 2, 15, dtype=torch.float64).expand(2, -1)
    root = diagonal.sqrt()
    for count in (1, 2, 5):
        found = solve(matrix, b, start, count, preconditioner=diagonal)
        changed = matrix / root.unsqueeze(1) / root.unsqueeze(2)
        plain = solve(changed, b / root, start * root, count)
        assert torch.allclose(found.solution, plain.solution / root, rtol=1e-9)
        assert torch.allclose(found.iterates[-1].quadratic, plain.iterates[-1].quadratic, rtol=1e-9)


def test_a_diagonal_matrix_is_solved_at_once_by_its_own_preconditioner():
    diagonal = torch.logspace(0, 6, 30, dtype=torch.float64).unsqueeze(0)
    b = torch.ones_like(diagonal)
    result = solve(torch.diag_embed(diagonal), b, preconditioner=diagonal)
    assert result.num_iterations.item() == 1
    assert torch.allclose(result.solution, b / diagonal)
