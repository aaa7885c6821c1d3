"""Clipping: limits, direction, what is left alone, and equality with torch.nn.utils."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.optim.clipping import clip_by_norm, clip_by_value


def gradients(dtype=torch.float64):
    """Four rows of very different size, (4, 1001)."""
    source = torch.Generator().manual_seed(3)
    sizes = torch.tensor([[1e-3], [1.0], [30.0], [1e4]], dtype=torch.float64)
    return (sizes * torch.randn(4, 1001, generator=source, dtype=torch.float64)).to(dtype)


LIMITS = torch.tensor([[1.0], [2.0], [float("inf")], [0.5]], dtype=torch.float64)


def test_by_norm_equals_torch():
    gradient = gradients()
    clipped = clip_by_norm(gradient, LIMITS)
    for row, limit, actual in zip(gradient, LIMITS, clipped, strict=True):
        parameter = torch.zeros(1001, dtype=torch.float64, requires_grad=True)
        parameter.grad = row.clone()
        torch.nn.utils.clip_grad_norm_([parameter], limit.item())
        # torch divides by the norm + 1e-6; the norms that are clipped here are 30 and more.
        torch.testing.assert_close(actual, parameter.grad, rtol=1e-6 / 30, atol=0)


def test_by_value_equals_torch():
    gradient = gradients()
    clipped = clip_by_value(gradient, LIMITS)
    for row, limit, actual in zip(gradient, LIMITS, clipped, strict=True):
        parameter = torch.zeros(1001, dtype=torch.float64, requires_grad=True)
        parameter.grad = row.clone()
        torch.nn.utils.clip_grad_value_([parameter], limit.item())
        assert torch.equal(actual, parameter.grad)


@pytest.mark.parametrize("clip", [clip_by_norm, clip_by_value])
def test_rows_within_their_limit_stay_as_they_are(clip):
    gradient = gradients()
    kept = gradient.clone()
    clipped = clip(gradient, LIMITS)
    assert torch.equal(gradient, kept)
    assert torch.equal(clipped[0], gradient[0])
    assert torch.equal(clipped[2], gradient[2])
    assert not torch.equal(clipped[3], gradient[3])


@given(
    row=st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=6),
    limit=st.floats(1e-3, 1e3),
)
@settings(max_examples=100)
def test_laws(row, limit):
    gradient, limits = torch.tensor([row], dtype=torch.float64), torch.tensor([[limit]], dtype=torch.float64)
    by_norm = clip_by_norm(gradient, limits)
    # A few roundings of the norm, the factor and the products.
    assert by_norm.norm().item() <= limit * (1 + 1e-14)
    cosine_gap = by_norm * gradient.abs().max() - gradient * by_norm.abs().max()
    assert cosine_gap.abs().max() <= 1e-14 * gradient.abs().max() * by_norm.abs().max()
    by_value = clip_by_value(gradient, limits)
    assert by_value.abs().max().item() <= limit
    assert torch.equal(clip_by_value(by_value, limits), by_value)


def test_an_exploding_float32_gradient_is_clipped_where_its_squares_overflow():
    gradient = torch.full((1, 4), 1e30)
    clipped = clip_by_norm(gradient, torch.ones(1, 1))
    assert clipped.dtype == torch.float32
    torch.testing.assert_close(clipped, torch.full((1, 4), 0.5))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("limit", [1.0, float("inf")])
def test_by_norm_leaves_a_row_whose_norm_is_not_finite(bad, limit):
    gradient = torch.tensor([[3.0, bad], [3.0, 4.0]], dtype=torch.float64)
    clipped = clip_by_norm(gradient, torch.full((2, 1), limit, dtype=torch.float64))
    torch.testing.assert_close(clipped[0], gradient[0], rtol=0, atol=0, equal_nan=True)
    assert clipped[1].norm().item() == pytest.approx(min(limit, 5), rel=1e-15)


def test_a_zero_gradient_stays_zero():
    zero, one = torch.zeros(1, 3), torch.ones(1, 1)
    assert torch.equal(clip_by_norm(zero, one), zero)
    assert torch.equal(clip_by_value(zero, one), zero)


def test_by_value_keeps_nan_and_clamps_infinities():
    gradient = torch.tensor([[float("nan"), float("inf"), -float("inf"), 0.1]])
    expected = torch.tensor([[float("nan"), 2.0, -2.0, 0.1]])
    torch.testing.assert_close(
        clip_by_value(gradient, torch.full((1, 1), 2.0)), expected, rtol=0, atol=0, equal_nan=True
    )
