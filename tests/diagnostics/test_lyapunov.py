"""Lyapunov exponents against closed forms and published values."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.diagnostics.lyapunov import lyapunov_spectrum


def matrices(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_orthogonal_nets_have_zeros():
    frames = torch.linalg.qr(matrices(30, 2, 6, 6)).Q
    assert lyapunov_spectrum(frames).abs().max() < 1e-13


@pytest.mark.parametrize(("weight", "slope"), [(1.25, 0.619), (2.0, 0.167)])
def test_the_latch_at_its_fixed_point(weight, slope):
    """h = tanh(w h): the slope w (1 - h^2) at the stored bit."""
    h, jacobians = torch.tensor(1.0, dtype=torch.float64), []
    for _ in range(100):
        h = torch.tanh(weight * h)
        jacobians.append((weight * (1 - h**2)).view(1, 1))
    exponent = lyapunov_spectrum(jacobians, num_aligning=60).item()
    assert exponent == pytest.approx(math.log(weight * (1 - h.item() ** 2)), abs=1e-12)
    assert math.exp(exponent) == pytest.approx(slope, abs=1e-3)


def test_the_henon_map():
    """x' = 1 - 1.4 x^2 + y, y' = 0.3 x: exponents 0.4192 and -1.6232 (Sprott 2003)."""
    num_trajectories, num_steps, num_aligning = 100, 1000, 30
    x = 0.1 * torch.rand(num_trajectories, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.zeros_like(x)
    jacobians = torch.zeros(num_steps, num_trajectories, 2, 2, dtype=torch.float64)
    jacobians[..., 0, 1], jacobians[..., 1, 0] = 1.0, 0.3
    for step in range(-100, num_steps):
        if step >= 0:
            jacobians[step, :, 0, 0] = -2.8 * x
        x, y = 1 - 1.4 * x**2 + y, 0.3 * x
    spectra = lyapunov_spectrum(jacobians, num_aligning)
    assert torch.allclose(spectra.sum(1), torch.tensor(math.log(0.3), dtype=torch.float64), atol=1e-12)
    mean, deviation = spectra.mean(0), spectra.std(0) / math.sqrt(num_trajectories)
    assert deviation.max() < 2e-3
    assert abs(mean[0].item() - 0.4192) < 3 * deviation[0].item()
    assert abs(mean[1].item() + 1.6232) < 3 * deviation[1].item()


def test_leading_exponents_are_those_of_the_system_wherever_they_lie():
    """Also if the axes are invariant: the growing direction is the last one."""
    factors = torch.tensor([0.1, 0.2, 0.5, 2.0, 0.9], dtype=torch.float64)
    leading = lyapunov_spectrum(torch.diag(factors).expand(300, 2, 5, 5), num_aligning=100, num_exponents=2)
    assert torch.allclose(leading, torch.tensor([2.0, 0.9], dtype=torch.float64).log().expand(2, 2), atol=1e-12)
    jacobians = matrices(7, 3, 3)
    assert torch.equal(lyapunov_spectrum(jacobians, num_exponents=3), lyapunov_spectrum(jacobians))


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 20))
def test_the_sum_is_the_mean_logarithm_of_the_determinant(seed, size, num_steps):
    jacobians = matrices(num_steps, size, size, seed=seed)
    expected = torch.linalg.slogdet(jacobians).logabsdet.mean()
    assert torch.allclose(lyapunov_spectrum(jacobians).sum(), expected, atol=1e-9)


def test_each_matrix_of_a_batch_has_its_own():
    jacobians = matrices(12, 2, 3, 4, 4)
    together = lyapunov_spectrum(jacobians, num_aligning=2)
    assert together.shape == (2, 3, 4)
    assert torch.allclose(together[1, 2], lyapunov_spectrum(jacobians[:, 1, 2], num_aligning=2), atol=1e-12)


def test_a_trajectory_may_begin_later_than_others():
    jacobians = matrices(12, 3, 4, 4)
    begins = torch.tensor([0, 5, 9])
    together = lyapunov_spectrum(jacobians, num_aligning=2, begins=begins)
    for k, begin in enumerate(begins.tolist()):
        assert torch.allclose(together[k], lyapunov_spectrum(jacobians[begin:, k], num_aligning=2), atol=1e-12)


def test_singular_and_too_short():
    assert lyapunov_spectrum(torch.tensor([[[2.0, 0.0], [0.0, 0.0]]])).tolist() == [math.log(2.0), -math.inf]
    with pytest.raises(ValueError, match="num_aligning must be less than the 3 steps, got 3"):
        lyapunov_spectrum(torch.zeros(3, 2, 2), num_aligning=3)
