"""Conjugate gradients against dense solutions, and their stopping rules one by one."""

import pytest
import torch

from rnnbench.curvature.conjugate_gradient import (
    MIN_PROGRESS_WINDOW,
    TerminationReason,
    conjugate_gradient,
    kept_iterations,
)


def positive_definite(num_replicas, size, condition, seed=0):
    generator = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(num_replicas, size, size, generator=generator, dtype=torch.float64)).Q
    values = torch.logspace(0, torch.log10(torch.tensor(float(condition))).item(), size, dtype=torch.float64)
    return q @ torch.diag(values) @ q.mT, torch.randn(num_replicas, size, generator=generator, dtype=torch.float64)


def solve(matrix, b, start=None, max_iterations=100, tolerance=0.0):
    def product(vector, active):
        return torch.einsum("rij,rj->ri", matrix, vector)

    start = torch.zeros_like(b) if start is None else start
    return conjugate_gradient(product, b, start, max_iterations, torch.full((b.shape[0],), tolerance).double())


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
    assert len(result.iterates) == len(kept_iterations(25))
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


def test_relative_progress_stops_at_the_rule():
    matrix, b = positive_definite(1, 60, 1e4)
    stopped = solve(matrix, b, max_iterations=200, tolerance=5e-3)
    assert stopped.reasons.item() == TerminationReason.PROGRESS
    last = int(stopped.num_iterations.item())
    phi = [0.0] + [solve(matrix, b, max_iterations=k).iterates[-1].quadratic.item() for k in range(1, last + 1)]

    def progress(i):
        window = max(MIN_PROGRESS_WINDOW, i // 10)
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

    result = conjugate_gradient(product, b, torch.zeros_like(b), 50, torch.zeros(2, dtype=torch.float64))
    assert result.reasons[0] == TerminationReason.NOT_FINITE
    assert result.solution.isfinite().all()
    assert torch.allclose(result.solution[1], torch.linalg.solve(matrix[1], b[1]), atol=1e-8)


def test_kept_iterations_grow_and_end_at_the_limit():
    assert sorted(kept_iterations(10)) == [1, 2, 3, 4, 5, 7, 9, 10]
    assert max(kept_iterations(250)) == 250
    assert len(kept_iterations(250)) < 25
