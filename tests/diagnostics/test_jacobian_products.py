"""Products of Jacobians against dense products and numbers of many digits."""

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.diagnostics.jacobian_products import log_singular_values, product_norms


def matrices(*shape, seed=0, scale=1.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def exact_log_singular_values(jacobians, lag, digits=200):
    """Of dh_T/dh_t, from products in numbers of many digits."""
    with mpmath.workdps(digits):
        product = mpmath.eye(jacobians.shape[-1])
        for t in range(1, lag + 1):
            product = product * mpmath.matrix(jacobians[-t].tolist())
        values = mpmath.svd_r(product, compute_uv=False)
        return sorted((float(mpmath.log(abs(value))) for value in values), reverse=True)


def test_norms_are_those_of_dense_products():
    jacobians = matrices(7, 2, 4, 4, scale=0.6)
    norms = product_norms(jacobians)
    for r in range(2):
        product = np.eye(4)
        for lag in range(8):
            if lag:
                product = product @ jacobians[7 - lag, r].numpy()
            assert norms.log_spectral[lag, r].item() == pytest.approx(math.log(np.linalg.norm(product, 2)), abs=1e-12)
            assert norms.log_frobenius[lag, r].item() == pytest.approx(math.log(np.linalg.norm(product)), abs=1e-12)
            rank = (np.linalg.norm(product) / np.linalg.norm(product, 2)) ** 2
            assert norms.stable_rank[lag, r].item() == pytest.approx(rank, rel=1e-11)
    some = product_norms(jacobians, [0, 3, 5])
    assert torch.equal(some.log_spectral, norms.log_spectral[[0, 3, 5]])
    assert torch.equal(some.log_frobenius, norms.log_frobenius[[0, 3, 5]])


def test_products_of_a_linear_net_are_powers():
    """At lags where float64 holds the power no more, its logarithm goes on at ln of the spectral radius."""
    weight = torch.diag(torch.tensor([0.1, 0.05, 0.02], dtype=torch.float64))
    norms = product_norms(weight.expand(1000, 3, 3))
    assert torch.allclose(norms.log_spectral, torch.arange(1001).double() * math.log(0.1), rtol=1e-12)
    values = log_singular_values(weight.expand(1000, 3, 3), [0, 10, 1000])
    expected = torch.tensor([0, 10, 1000], dtype=torch.float64).unsqueeze(1) * weight.diagonal().log()
    assert torch.allclose(values, expected, rtol=1e-11, atol=1e-12)


def test_products_of_orthogonal_nets_keep_all():
    frames = torch.linalg.qr(matrices(40, 2, 5, 5)).Q
    norms = product_norms(frames)
    assert norms.log_spectral.abs().max() < 1e-12
    assert torch.allclose(norms.stable_rank, torch.full_like(norms.stable_rank, 5.0))
    assert log_singular_values(frames, [1, 40]).abs().max() < 1e-12


def test_zeros_and_infinite_ranges():
    norms = product_norms(torch.zeros(2, 3, 3))
    assert norms.log_spectral.tolist() == [0.0, -math.inf, -math.inf]
    assert norms.stable_rank[2].isnan()
    assert log_singular_values(torch.zeros(2, 3, 3), [2]).tolist() == [[-math.inf] * 3]
    relu = torch.diag(torch.tensor([1.0, 0.0, 0.5], dtype=torch.float64)) @ matrices(3, 3)
    values = log_singular_values(relu.expand(5, 3, 3), [5])[0]
    assert torch.allclose(values[:2], torch.tensor(exact_log_singular_values(relu.expand(5, 3, 3), 5)[:2]).double())
    assert values[2] < -30  # rounding of 0


@pytest.mark.parametrize("size", [2, 4, 5])
def test_singular_values_far_below_the_largest_have_all_digits(size):
    scales = torch.tensor([1.1, 0.5, 1e-3, 1e-8, 1e-9])[:size].double()
    jacobians = torch.linalg.qr(matrices(60, size, size)).Q * scales
    found = log_singular_values(jacobians, [1, 2, 10, 60])
    for row, lag in zip(found.tolist(), [1, 2, 10, 60], strict=True):
        assert row == pytest.approx(exact_log_singular_values(jacobians, lag, digits=800), abs=1e-10)


def test_axes_that_hide_the_largest_direction():
    """A QR decomposition that begins with these axes would lose 1e-4^12 beside 1."""
    rows = [[1e-4, 0.0, 0.0], [1.0, 1.0, 0.0], [0.3, 0.7, 1.2]]
    jacobians = torch.tensor(rows, dtype=torch.float64).expand(12, 3, 3)
    found = log_singular_values(jacobians, [12])[0]
    assert found.tolist() == pytest.approx(exact_log_singular_values(jacobians, 12), abs=1e-9)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 12))
def test_sum_and_norms_agree_with_each_other(seed, size, num_steps):
    jacobians = matrices(num_steps, size, size, seed=seed)
    values, norms = log_singular_values(jacobians, [num_steps])[0], product_norms(jacobians)
    assert torch.allclose(values[0], norms.log_spectral[-1], atol=1e-9)
    assert torch.allclose(values.mul(2).exp().sum().log() / 2, norms.log_frobenius[-1], atol=1e-9)
    assert torch.allclose(values.sum(), torch.linalg.slogdet(jacobians).logabsdet.sum(), atol=1e-8)


def test_each_trajectory_of_a_batch_has_its_own():
    jacobians = matrices(9, 2, 3, 4, 4)
    together = log_singular_values(jacobians, range(1, 10))
    assert together.shape == (9, 2, 3, 4)
    assert torch.allclose(together[:, 1, 2], log_singular_values(list(jacobians[:, 1, 2]), range(1, 10)), atol=1e-10)


@pytest.mark.parametrize("lags", [[], [2, 1], [-1], [4], [1, 1]])
def test_lags_that_cannot_be(lags):
    with pytest.raises(ValueError, match="ascending numbers from 0 to 3"):
        log_singular_values(matrices(3, 2, 2), lags)
