"""Cosines, clipping and the noise of gradients against closed forms."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.diagnostics.gradients import cosine, simple_noise_scale, was_clipped


def test_cosines():
    first = torch.tensor([[1.0, 0.0], [2.0, 2.0], [0.0, 0.0], [1e30, 0.0]])
    second = torch.tensor([[-3.0, 0.0], [1.0, 0.0], [1.0, 1.0], [1e30, 1e30]])
    found = cosine(first, second)
    assert found[:2].tolist() == pytest.approx([-1.0, math.sqrt(0.5)])
    assert found[2].isnan()
    assert found[3].item() == pytest.approx(math.sqrt(0.5))  # float32 would overflow


def test_clipping_events():
    gradient = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert was_clipped(gradient, gradient).tolist() == [False, False]
    assert was_clipped(gradient, torch.tensor([[1.0, 2.0], [0.6, 0.8]])).tolist() == [False, True]
    gradient[1, 0] = torch.inf
    assert str(was_clipped(gradient, gradient).tolist()) == "[0.0, nan]"


@settings(max_examples=30)
@given(size=st.integers(2, 40), seed=st.integers(0, 2**20), small=st.integers(1, 3))
def test_noise_scale_in_exact_expectation(size, seed, small):
    """Expected squared norms put in, |G|^2 and tr(Sigma) come out."""
    generator = torch.Generator().manual_seed(seed)
    signal, trace = (torch.rand(3, generator=generator, dtype=torch.float64) + 0.01 for _ in range(2))
    found = simple_noise_scale(signal + trace / small, small, signal + trace / (small + size), small + size)
    assert torch.allclose(found.trace, trace, rtol=1e-9)
    assert torch.allclose(found.signal, signal, rtol=1e-9)
    assert torch.allclose(found.scale, trace / signal, rtol=1e-9)


def test_noise_scale_of_single_gradients_is_the_unbiased_variance():
    generator = torch.Generator().manual_seed(0)
    single = torch.randn(50, 4, generator=generator, dtype=torch.float64) + 2
    mean = single.mean(0)
    found = simple_noise_scale(single.square().sum(1).mean()[None], 1, mean.square().sum()[None], 50)
    assert found.trace.item() == pytest.approx(single.var(0).sum().item())
    assert found.signal.item() == pytest.approx((mean.square().sum() - single.var(0).sum() / 50).item())


def test_a_gradient_lost_in_noise_has_no_scale():
    found = simple_noise_scale(torch.tensor([4.0]), 1, torch.tensor([0.01]), 100)
    assert found.signal.item() < 0
    assert found.scale.isnan()
    with pytest.raises(ValueError, match="must be larger"):
        simple_noise_scale(torch.tensor([4.0]), 5, torch.tensor([1.0]), 5)
