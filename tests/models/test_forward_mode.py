"""Dual numbers in several threads at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.autograd import forward_ad

from rnnbench.models.forward_mode import dual_level, make_dual, tangent_of


def test_threads_share_the_level():
    barrier = threading.Barrier(3)

    def derivative(seed):
        generator = torch.Generator().manual_seed(seed)
        x, v = torch.randn(2, 50, generator=generator, dtype=torch.float64)
        for _ in range(200):
            barrier.wait(timeout=30)  # all of them enter at once, and leave while others are inside
            with dual_level():
                found = tangent_of(torch.tanh(make_dual(x, v)))
            assert torch.allclose(found, v / torch.cosh(x) ** 2, rtol=1e-12)
        return True

    with ThreadPoolExecutor(3) as executor:
        assert list(executor.map(derivative, range(3))) == [True] * 3
    with forward_ad.dual_level():  # refused if the shared one were still open
        pass


def test_the_level_is_left_when_an_error_is_raised():
    with pytest.raises(ZeroDivisionError), dual_level():
        raise ZeroDivisionError
    with forward_ad.dual_level():
        pass


def test_what_depends_on_no_dual_number_has_derivative_zero():
    with dual_level():
        assert torch.equal(tangent_of(torch.ones(3)), torch.zeros(3))
