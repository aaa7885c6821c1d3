"""Lanczos against numpy's eigenvalues of dense matrices."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.diagnostics.lanczos import lanczos, random_start
from rnnbench.losses import LOSSES
from rnnbench.models.gru import Gru
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.base import Batch


def of(matrix):
    return lambda v: torch.einsum("rij,rj->ri", matrix, v)


def symmetric(spectra, seed=0):
    """Matrices (R, P, P) with given eigenvalues and random eigenvectors."""
    rows = []
    for r, spectrum in enumerate(spectra):
        normal = np.random.default_rng(seed + r).standard_normal((len(spectrum), len(spectrum)))
        basis, _ = np.linalg.qr(normal)
        rows.append((basis * np.asarray(spectrum, dtype=float)) @ basis.T)
    matrix = torch.from_numpy(np.stack(rows))
    return (matrix + matrix.mT) / 2


def descending(matrix):
    return torch.from_numpy(np.linalg.eigvalsh(matrix.numpy())).flip(-1)


def check_pairs(matrix, found, atol):
    """Orthonormal vectors, and residuals that are what they say."""
    vectors = found.vectors(slice(None))
    norm = matrix.abs().amax()
    unit = torch.eye(vectors.shape[1], dtype=torch.float64)
    assert torch.allclose(vectors @ vectors.mT, unit.expand(len(vectors), -1, -1), atol=1e-12)
    residual = (vectors @ matrix - found.values.unsqueeze(2) * vectors).norm(dim=2)
    assert torch.allclose(residual, found.residuals, atol=atol * max(1.0, norm))


def test_all_iterations_give_all_eigenpairs():
    matrix = symmetric([np.linspace(-3, 5, 12), np.geomspace(1e-6, 100, 12)])
    found = lanczos(of(matrix), random_start(2, 12), 12)
    assert torch.allclose(found.values, descending(matrix), atol=1e-11)
    check_pairs(matrix, found, 1e-12)


def test_extremes_of_a_large_matrix_converge_in_few_iterations_and_residuals_bound_the_error():
    spectrum = np.concatenate([[-4.0, -2.0, 9.0, 30.0], np.linspace(-0.5, 1, 296)])
    matrix = symmetric([spectrum])
    found = lanczos(of(matrix), random_start(1, 300), 40)
    assert torch.allclose(found.values[0, :2], torch.tensor([30.0, 9.0], dtype=torch.float64), atol=1e-11)
    assert torch.allclose(found.values[0, -2:], torch.tensor([-2.0, -4.0], dtype=torch.float64), atol=1e-11)
    nearest = (found.values[0].unsqueeze(1) - torch.from_numpy(spectrum)).abs().amin(1)
    assert (nearest <= found.residuals[0] + 1e-12).all()
    assert found.residuals[0, 20] > 1e-3  # in the middle nothing has converged
    check_pairs(matrix, found, 1e-12)


def test_no_eigenvalue_appears_twice_long_after_it_has_converged():
    """What Lanczos without reorthogonalization is known for."""
    spectrum = np.concatenate([[1e6], np.linspace(0, 1, 149)])
    found = lanczos(of(symmetric([spectrum])), random_start(1, 150), 120)
    assert found.values[0, 0].item() == pytest.approx(1e6, rel=1e-13)
    assert found.values[0, 1] < 1.001


@pytest.mark.parametrize(
    "spectrum", [[0.0] * 7, [2.0] * 7, [5.0, 5.0, 5.0, 1.0, 1.0, -1.0, -1.0], [3.0, 0, 0, 0, 0, 0, 0]], ids=str
)
def test_invariant_spaces_are_left_replica_by_replica(spectrum):
    """Few different eigenvalues end the Krylov space early: a second replica, which goes on, must not be touched."""
    other = np.linspace(1, 2, 7)
    matrix = symmetric([spectrum, other])
    found = lanczos(of(matrix), random_start(2, 7), 7)
    assert torch.allclose(found.values, descending(matrix), atol=1e-12)
    check_pairs(matrix, found, 1e-12)
    alone = lanczos(of(matrix[1:]), random_start(1, 7), 7)
    assert torch.equal(alone.values, found.values[1:])


def test_a_replica_that_is_not_finite_is_nan_and_leaves_the_others():
    matrix = symmetric([np.linspace(1, 2, 6), np.linspace(-1, 1, 6)])
    expected = descending(matrix[1])
    matrix[0, 2, 3] = torch.nan
    found = lanczos(of(matrix), random_start(2, 6), 6)
    assert found.values[0].isnan().all()
    assert found.vectors(slice(1))[0].isnan().all()
    assert torch.allclose(found.values[1], expected, atol=1e-12)


@settings(max_examples=25)
@given(spectrum=st.lists(st.floats(-10, 10, allow_subnormal=False), min_size=2, max_size=9), count=st.integers(1, 9))
def test_ritz_values_lie_within_the_spectrum_and_interlace(spectrum, count):
    matrix = symmetric([spectrum])
    found = lanczos(of(matrix), random_start(1, len(spectrum)), count)
    exact, size = descending(matrix)[0], min(count, len(spectrum))
    assert found.values.shape == (1, size)
    for i, value in enumerate(found.values[0]):
        assert exact[len(exact) - size + i] - 1e-10 <= value <= exact[i] + 1e-10


@pytest.mark.parametrize("model", [SimpleRnn(1, 2, 4), Gru(1, 2, 3)], ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("matrix", ["gauss_newton", "hessian"])
def test_extreme_eigenpairs_of_real_nets(model, matrix):
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(6, 2, 5, 1, generator=generator, dtype=torch.float64)
    lengths = torch.full((2, 5), 6)
    batch = Batch(inputs, lengths, (lengths - 1)[None], torch.randint(0, 2, (1, 2, 5), generator=generator))
    objective = Objective(Engine(model, dtype=torch.float64), LOSSES["softmax_cross_entropy"], batch)
    theta = 0.6 * torch.randn(2, model.num_parameters, generator=generator, dtype=torch.float64)
    operator = objective.linearize(theta) if matrix == "gauss_newton" else objective.hessian(theta)
    units = torch.eye(model.num_parameters, dtype=torch.float64)
    dense = torch.stack([operator.product(unit.expand_as(theta)) for unit in units], dim=2)
    assert torch.allclose(dense, dense.mT, atol=1e-14)
    found, exact = lanczos(operator.product, random_start(*theta.shape), 30), descending(dense)
    scale = exact.abs().amax()
    assert torch.allclose(found.values[:, :3], exact[:, :3], atol=1e-10 * scale)
    assert torch.allclose(found.values[:, -1], exact[:, -1], atol=1e-10 * scale)
    if matrix == "hessian":
        assert (exact[:, -1] < -1e-3 * exact[:, 0]).all()  # both ends are looked at: it is indefinite
    vectors = found.vectors(slice(0, 3))
    images = torch.einsum("rij,rkj->rki", dense, vectors)
    assert torch.allclose(images, found.values[:, :3].unsqueeze(2) * vectors, atol=1e-9 * scale)


def test_a_replica_that_needs_another_space_changes_nothing_for_the_next():
    """Of rank 1 and of rank 2: both begin another space, one after the other."""
    spectra = [[3.0] + [0.0] * 7, [3.0, 2.0] + [0.0] * 6, [np.nan] * 8]
    matrix = symmetric(spectra)
    together = lanczos(of(matrix), random_start(3, 8), 5)
    alone = lanczos(of(matrix[1:2]), random_start(1, 8), 5)
    assert torch.allclose(together.basis[1], alone.basis[0], atol=1e-6)
    assert torch.allclose(together.values[1], alone.values[0], atol=1e-12)
    assert together.values[2].isnan().all()
