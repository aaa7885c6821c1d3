"""Steps along eigenvectors against the same steps made in the whole space."""

import numpy as np
import pytest
import torch

from rnnbench.diagnostics.steps import (
    components,
    explained_share,
    gradient_descent_step,
    momentum_step,
    newton_step,
    progress,
    rayleigh_quotient,
)


@pytest.fixture
def quadratic():
    """A matrix with all its eigenpairs, and a gradient: (R, P, P), (R, P), (R, P, P) rows, (R, P)."""
    generator = np.random.default_rng(0)
    square = generator.standard_normal((2, 5, 5))
    matrix = square @ square.transpose(0, 2, 1)
    values, vectors = np.linalg.eigh(matrix)
    gradient = generator.standard_normal((2, 5))
    return tuple(map(torch.from_numpy, (matrix, values, np.ascontiguousarray(vectors.transpose(0, 2, 1)), gradient)))


def whole(vectors, parts):
    """The vector with these components."""
    return torch.einsum("rk,rkp->rp", parts, vectors)


def test_steps_are_those_of_the_whole_space(quadratic):
    matrix, values, vectors, gradient = quadratic
    parts, damping = components(vectors, gradient), torch.tensor([[0.3], [2.0]], dtype=torch.float64)
    assert torch.allclose(whole(vectors, gradient_descent_step(parts, 0.1)), -0.1 * gradient)
    damped = matrix + damping.unsqueeze(2) * torch.eye(5, dtype=torch.float64)
    expected = torch.linalg.solve(damped, -gradient)
    assert torch.allclose(whole(vectors, newton_step(parts, values, damping)), expected)
    assert torch.allclose(explained_share(parts, gradient), torch.ones(2, dtype=torch.float64))
    assert (explained_share(parts[:, 1:], gradient) < 1).all()


def test_momentum_converges_to_its_step_in_a_constant_gradient(quadratic):
    _, _, vectors, gradient = quadratic
    velocity = torch.zeros_like(gradient)
    for _ in range(400):
        velocity = 0.9 * velocity - 0.01 * gradient
    assert torch.allclose(components(vectors, velocity), momentum_step(components(vectors, gradient), 0.01, 0.9))


def test_progress_of_known_steps(quadratic):
    _, values, vectors, gradient = quadratic
    parts = components(vectors, gradient)
    assert torch.allclose(progress(newton_step(parts, values, 0.0), parts, values), torch.ones(2, 5).double())
    assert torch.allclose(progress(newton_step(parts, values, 0.5), parts, values), values / (values + 0.5))
    assert torch.allclose(progress(gradient_descent_step(parts, 0.1), parts, values), 0.1 * values)
    assert torch.allclose(progress(-parts, -parts, values), -values)  # of a flipped eigenvector


def test_curvature_along_a_vector(quadratic):
    matrix, values, vectors, gradient = quadratic
    image = torch.einsum("rij,rj->ri", matrix, gradient)
    weights = components(vectors, gradient).square()
    expected = (weights * values).sum(1) / weights.sum(1)
    assert torch.allclose(rayleigh_quotient(gradient, image), expected)
    assert rayleigh_quotient(torch.zeros(1, 3), torch.zeros(1, 3)).isnan().all()
