"""Spectra of single Jacobians, and pushes along eigenvectors, against numpy and closed forms."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.diagnostics.jacobians import (
    departure_from_normality,
    eigenvalue_log_growth,
    eigenvalues,
    leading_eigenvectors,
    product_log_growth,
    push_log_growth,
    singular_values,
)


def matrices(*shape, seed=0, scale=0.5):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_spectra_are_numpys_largest_first():
    jacobians = matrices(2, 3, 6, 6).float()
    values, sizes = eigenvalues(jacobians), singular_values(jacobians)
    assert (values.dtype, sizes.dtype) == (torch.complex128, torch.float64)
    for i in range(2):
        for j in range(3):
            reference = np.linalg.eigvals(jacobians[i, j].double().numpy())
            assert np.allclose(np.sort(np.abs(reference))[::-1], values[i, j].abs().numpy(), rtol=1e-10)
            assert np.allclose(np.sort_complex(reference), np.sort_complex(values[i, j].numpy()), rtol=1e-9)
            wanted = np.linalg.svd(jacobians[i, j].double().numpy(), compute_uv=False)
            assert np.allclose(wanted, sizes[i, j].numpy(), rtol=1e-10)


def test_departure_from_normality_in_closed_form():
    nilpotent, symmetric = torch.tensor([[0.0, 3.0], [0.0, 0.0]]), torch.tensor([[1.0, 2.0], [2.0, -1.0]])
    upper = torch.tensor([[0.5, 2.0], [0.0, -0.25]])
    jacobians = torch.stack([nilpotent, symmetric, upper, torch.zeros(2, 2)])
    absolute, relative = departure_from_normality(jacobians, eigenvalues(jacobians))
    whole = math.sqrt(0.25 + 4 + 0.0625)
    assert absolute.tolist() == pytest.approx([3.0, 0.0, 2.0, 0.0], abs=1e-7)
    assert relative.tolist() == pytest.approx([1.0, 0.0, 2 / whole, 0.0], abs=1e-7)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(1, 6))
def test_departure_is_the_upper_part_of_the_schur_form(seed, size):
    jacobian = matrices(size, size, seed=seed)
    # The Schur form from orthonormalized eigenvectors.
    values, vectors = np.linalg.eig(jacobian.numpy())
    frame = np.linalg.qr(vectors)[0]
    form = frame.conj().T @ jacobian.numpy() @ frame
    absolute, _ = departure_from_normality(jacobian, torch.from_numpy(values))
    assert absolute.item() == pytest.approx(np.linalg.norm(np.triu(form, 1)), abs=1e-6, rel=1e-6)


def test_leading_eigenvectors_count_a_pair_once():
    angle, block = 0.3, torch.zeros(3, 3, dtype=torch.float64)
    block[:2, :2] = 0.9 * torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    block[2, 2] = -0.5
    values, vectors = leading_eigenvectors(block.expand(4, 3, 3), 3)
    assert values.shape == (3, 4)
    assert vectors.shape == (3, 4, 3)
    assert values[0, 2].item() == pytest.approx(0.9 * complex(math.cos(angle), math.sin(angle)))
    assert values[1, 2].item() == pytest.approx(-0.5)
    assert values[2].isnan().all()
    for value, vector in zip(values[:2, 0], vectors[:2, 0], strict=True):
        assert torch.linalg.vector_norm(vector).item() == pytest.approx(1)
        assert torch.allclose(block.to(value.dtype) @ vector, value * vector)


def test_a_push_in_a_linear_net_grows_as_the_eigenvalue_says():
    """Whatever the inputs, the size of the push and the rotation of a pair."""
    weight, inputs = matrices(2, 5, 5), matrices(8, 2, 5, seed=1)
    weight = 0.4 * (weight + weight.triu() - weight.triu().mT)  # rotates: pairs are among the largest
    states = matrices(2, 5, seed=2)
    values, vectors = leading_eigenvectors(weight, 2)
    assert values.imag.abs().max() > 0.1

    def step(k, state):
        return (weight @ state.unsqueeze(-1)).squeeze(-1) + inputs[k]

    growth = push_log_growth(step, states, vectors, 0.1, 8)
    assert growth.shape == (9, 2, 2)
    expected = eigenvalue_log_growth(values, 8)
    assert torch.allclose(growth, expected, atol=1e-9)
    assert torch.allclose(product_log_growth(weight.expand(8, 2, 5, 5), vectors), expected, atol=1e-9)


def test_a_push_in_the_latch_follows_the_product_not_the_first_eigenvalue():
    """h' = tanh(1.25 h) from h = 0.05: the eigenvalue there says growth by 1.25 a step; at the end it is 0.619."""

    def step(k, state):
        return torch.tanh(1.25 * state)

    state, jacobians = torch.tensor([0.05], dtype=torch.float64), []
    h = state
    for k in range(40):
        h = step(k, h)
        jacobians.append((1.25 * (1 - h**2)).unsqueeze(-1))
    direction = torch.ones(1, dtype=torch.float64)
    growth = push_log_growth(step, state, direction, 1e-6, 40)
    product = product_log_growth(jacobians, direction)
    assert torch.allclose(growth, product, atol=1e-4)
    assert growth[40] - growth[39] == pytest.approx(math.log(0.619), abs=1e-3)
    values = eigenvalues(jacobians[0])
    assert growth[1].item() == pytest.approx(eigenvalue_log_growth(values, 1)[1].item(), abs=1e-4)
    assert eigenvalue_log_growth(values, 40)[40].item() > growth[40].item() + 10


def test_products_of_zeros_and_of_long_trajectories_stay_numbers():
    direction = torch.tensor([1.0, 0.0], dtype=torch.float64)
    zero = product_log_growth(torch.zeros(3, 2, 2), direction)
    assert zero.tolist() == [0.0, -math.inf, -math.inf, -math.inf]
    small = product_log_growth(1e-3 * torch.eye(2, dtype=torch.float64).expand(500, 2, 2), direction)
    assert small[-1].item() == pytest.approx(500 * math.log(1e-3))
    assert eigenvalue_log_growth(torch.zeros(1), 2).flatten().tolist() == [0.0, -math.inf, -math.inf]
