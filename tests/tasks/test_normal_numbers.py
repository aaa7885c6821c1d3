import math
from statistics import NormalDist

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.tasks import normal_numbers
from rnnbench.tasks.normal_numbers import normal
from rnnbench.tasks.random_numbers import random_words

MILLION = 1_000_000


def scaled_quantiles():
    """The 2^16 quantiles of a normal number in the middle of equal shares, of variance 1, without torch."""
    upper = [NormalDist().inv_cdf((k + 0.5) / 2**16) for k in range(2**15, 2**16)]
    root = math.sqrt(math.fsum(x * x for x in upper) / 2**15)
    return [-x / root for x in reversed(upper)] + [x / root for x in upper]


QUANTILES = scaled_quantiles()


def drawn_normals(standard_deviation=1.0):
    """Two million of them, (2, 1000, 1000), float64: of the lower halves, then of the upper ones."""
    words = random_words([14], 0, 0, 1000, 1000)
    out = torch.empty((2000, 1, 1000), dtype=torch.float64)
    return normal(words, standard_deviation, out).view(1000, 2, 1000).transpose(0, 1)


@given(
    words=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=4),
    is_odd=st.booleans(),
    standard_deviation=st.sampled_from([0.0, 0.2, 1.0, 3.0]),
)
def test_a_normal_number_is_the_quantile_of_its_half_of_a_word(words, is_odd, standard_deviation):
    halves = [half for word in words for half in (word % 2**16, word // 2**16)]
    expected = [standard_deviation * QUANTILES[half] for half in halves][: len(halves) - is_odd]
    signed = torch.tensor(words, dtype=torch.int64).to(torch.int32)
    found = normal(signed, standard_deviation, torch.empty(len(expected)))
    assert found.tolist() == pytest.approx(expected, rel=1e-7, abs=0)


def test_normal_numbers_are_symmetric_and_have_their_variance():
    halves = torch.arange(2**16).view(-1, 2)
    words = (halves[:, 0] | halves[:, 1] << 16).to(torch.int32)
    every = normal(words, 0.2, torch.empty(2**16, dtype=torch.float64))
    assert torch.equal(every, every.float().double())  # the same numbers for every dtype
    assert torch.equal(every, -every.flip(0))
    assert bool((every.diff() > 0).all())
    assert float(every.square().mean()) == pytest.approx(0.04, rel=1e-8)
    assert 4.32 < float(every[-1]) / 0.2 < 4.33


def test_normal_moments():
    """The first six of two million numbers, within 4 standard errors of those of a normal number.

    Quantiles beyond the largest are missing, which lowers the sixth moment by 0.027; its standard error is 0.07.
    """
    values = drawn_normals(0.5).flatten() / 0.5
    for power, (moment, square) in enumerate([(0, 1), (1, 3), (0, 15), (3, 105), (0, 945), (15, 10395)], start=1):
        z = (float(values.pow(power).mean()) - moment) / math.sqrt((square - moment**2) / values.numel())
        assert abs(z) < 4, (power, z)


def test_normal_numbers_have_the_distribution_function():
    """Kolmogorov's distance times the root of the number exceeds 2.2 once in 8000 samples; steps are 2^-16 high."""
    for values in drawn_normals(2.0):
        ordered = values.flatten().sort().values / 2
        shares = 0.5 * torch.erfc(-ordered / math.sqrt(2))
        ranks = torch.arange(MILLION + 1, dtype=torch.float64) / MILLION
        distance = max(float((ranks[1:] - shares).max()), float((shares - ranks[:-1]).max()))
        assert distance < 2.2 / math.sqrt(MILLION) + 2.0**-16


def test_the_halves_of_a_word_are_independent():
    """Correlation of the numbers, their squares and one with the other's square, and counts in 16 x 16 equal cells."""
    lower, upper = drawn_normals().flatten(1)
    squares = (lower.square() - 1) / math.sqrt(2), (upper.square() - 1) / math.sqrt(2)
    for left, right in [(lower, upper), squares, (lower, squares[1]), (squares[0], upper)]:
        assert abs(float((left * right).mean())) * math.sqrt(MILLION) < 4
    bounds = torch.tensor([NormalDist().inv_cdf(k / 16) for k in range(1, 16)], dtype=torch.float64)
    cells = 16 * torch.bucketize(lower, bounds) + torch.bucketize(upper, bounds)
    counts = cells.bincount(minlength=256)
    chi_square = float(((counts - MILLION / 256) ** 2).sum()) / (MILLION / 256)
    assert abs(chi_square - 255) < 4 * math.sqrt(2 * 255)


@pytest.mark.parametrize("num_places", [13, 14])
def test_normal_writes_into_any_strides(num_places):
    words = random_words([1, 2], 0, 0, 7, 5)
    plain = normal(words, 1.0, torch.empty((num_places, 2, 5)))
    channels = torch.full((num_places, 5, 2, 3), -9.0)
    normal(words.transpose(1, 2), 1.0, channels[..., 1])
    assert torch.equal(channels[..., 1].transpose(1, 2), plain)
    assert bool((channels[..., ::2] == -9).all())


@pytest.mark.parametrize("numbers_at_once", [1, 20, 45, 10_000])
def test_normal_numbers_in_parts_are_the_same(numbers_at_once, monkeypatch):
    words = random_words([1, 2], 0, 0, 7, 5)
    whole = normal(words, 1.0, torch.empty((13, 2, 5)))
    monkeypatch.setattr(normal_numbers, "NUMBERS_AT_ONCE", numbers_at_once)
    assert torch.equal(normal(words, 1.0, torch.empty((13, 2, 5))), whole)
