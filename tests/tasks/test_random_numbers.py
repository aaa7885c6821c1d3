import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rnnbench.tasks import random_numbers
from rnnbench.tasks.random_numbers import (
    batch_words,
    bit_fields,
    integers,
    key_schedule,
    num_field_words,
    philox4x32,
    random_words,
    uniform,
)

MASK = 0xFFFFFFFF
MILLION = 1_000_000


def philox_reference(counter, key):
    """Philox4x32-10 as the publication states it, in Python's whole numbers."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK, (p0 >> 32) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return [c0, c1, c2, c3]


def word_reference(seed, stream, update, position, row):
    block = philox_reference([position // 2, row // 2, update, stream], [seed & MASK, seed >> 32])
    return block[2 * (position % 2) + 1 - row % 2]


def chi_square_z(counts):
    """How many standard deviations the chi-square statistic of equally likely cells lies above its mean."""
    expected = counts.sum() / counts.numel()
    degrees = counts.numel() - 1
    statistic = ((counts - expected) ** 2 / expected).sum()
    return float((statistic - degrees) / (2 * degrees) ** 0.5)


# The known-answer vectors of philox4x32 with 10 rounds in Random123's kat_vectors: counter, key, output.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words_of(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
@pytest.mark.parametrize("as_arrays", [False, True])
@pytest.mark.parametrize("view", [Tensor.numpy, Tensor.detach], ids=["numpy", "torch"])
def test_philox_known_answers(counter, key, expected, as_arrays, view):
    low, high = words_of(key)
    seed = high << 32 | low
    seeds = torch.tensor([seed - 2**64 if seed >= 2**63 else seed])
    out = torch.empty((2, 1), dtype=torch.int64)
    words = [view(torch.tensor([word])) if as_arrays else word for word in words_of(counter)]
    philox4x32(tuple(words), view(key_schedule(seeds)), view(torch.empty((3, 2, 1), dtype=torch.int64)), view(out))
    first, second = out[:, 0].tolist()
    assert [first >> 32 & MASK, first & MASK, second >> 32 & MASK, second & MASK] == words_of(expected)


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_the_reference_knows_the_answers_too(counter, key, expected):
    assert philox_reference(words_of(counter), words_of(key)) == words_of(expected)


@settings(max_examples=50)
@given(
    seeds=st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3),
    stream=st.integers(0, MASK),
    update=st.integers(0, MASK),
    num_positions=st.integers(1, 5),
    num_rows=st.integers(1, 5),
    first_row=st.integers(0, 2**32 - 5),
)
def test_every_word_is_the_one_of_its_place(seeds, stream, update, num_positions, num_rows, first_row):
    words = random_words(seeds, stream, update, num_positions, num_rows, first_row=first_row)
    assert words.shape == (num_positions, len(seeds), num_rows)
    assert words.dtype == torch.int32
    expected = [
        [[word_reference(seed, stream, update, p, first_row + b) for b in range(num_rows)] for seed in seeds]
        for p in range(num_positions)
    ]
    assert (words.long() & MASK).tolist() == expected


@pytest.mark.parametrize("blocks_at_once", [1, 7, 100, 10_000])
def test_working_in_parts_changes_nothing(blocks_at_once, monkeypatch):
    whole = random_words([1, 2], 3, 4, 21, 9)
    monkeypatch.setattr(random_numbers, "BLOCKS_AT_ONCE", blocks_at_once)
    assert torch.equal(random_words([1, 2], 3, 4, 21, 9), whole)


def test_words_of_a_whole_batch_are_those_of_the_reserved_row_pair():
    words = batch_words([5, 2**40 + 9], 1, 2, 3)
    reserved_row = 2 * (2**32 - 1)
    expected = [[[word_reference(seed, 1, 2, p, reserved_row)] for seed in (5, 2**40 + 9)] for p in range(3)]
    assert (words.long() & MASK).tolist() == expected


def test_the_callers_words_are_its_own():
    first = random_words([1], 0, 0, 2, 2)
    kept = first.clone()
    first.zero_()
    assert torch.equal(random_words([1], 0, 0, 2, 2), kept)


def test_neighbouring_places_are_uncorrelated():
    """Correlation with the same numbers one seed, stream, update, position or row further: |z| < 4 at these seeds."""

    def draw(seed=3, stream=0, update=0, first_row=0):
        words = random_words([seed], stream, update, 100, 1000, first_row=first_row)
        return uniform(words, torch.empty(words.shape, dtype=torch.float64)) - 0.5

    base = draw()
    pairs = {
        "seed": (base, draw(seed=4)),
        "high half of the seed": (base, draw(seed=3 + 2**32)),
        "stream": (base, draw(stream=1)),
        "update": (base, draw(update=1)),
        "row": (base, draw(first_row=1)),
        "position": (base[1:], base[:-1]),
    }
    for name, (left, right) in pairs.items():
        z = float((left * right).mean()) * 12 * left.numel() ** 0.5
        assert abs(z) < 4, (name, z)


def test_uniform_is_the_upper_24_bits():
    words = torch.tensor([0, 255, 256, 2**31 - 1, -(2**31), -1], dtype=torch.int32)
    expected = torch.tensor([0, 0, 2**-24, 0.5 - 2**-24, 0.5, 1 - 2**-24], dtype=torch.float64)
    for dtype in (torch.float32, torch.float64):
        out = torch.empty(6, dtype=dtype)
        assert uniform(words, out) is out
        assert torch.equal(out.double(), expected)


def test_uniform_writes_into_any_strides():
    words = random_words([1], 0, 0, 4, 5)
    plain = uniform(words, torch.empty(words.shape))
    channels = torch.full((*words.shape, 2), -1.0)
    uniform(words, channels[..., 1])
    assert torch.equal(channels[..., 1], plain)
    assert bool((channels[..., 0] == -1).all())


def test_uniform_moments_and_frequencies():
    words = random_words([11], 0, 0, 1000, 1000)
    values = uniform(words, torch.empty(words.shape, dtype=torch.float64)).flatten()
    assert abs(float(values.mean()) - 0.5) * (12 * MILLION) ** 0.5 < 4
    assert abs(float(values.square().mean()) - 1 / 3) / (4 / 45 / MILLION) ** 0.5 < 4
    assert abs(chi_square_z((values * 1000).long().bincount(minlength=1000))) < 4


@pytest.mark.parametrize("bit", range(32))
def test_every_bit_is_fair(bit):
    ones = int((random_words([12], 0, 0, 100, 1000) >> bit & 1).sum())
    assert abs(ones - 50_000) / 25_000**0.5 < 4.5


def test_integers_reach_both_ends_and_nothing_else():
    words = torch.tensor([0, -1, 2**31 - 1, -(2**31)], dtype=torch.int32)  # the lowest, highest and both middle words
    assert integers(words, 3, 7).tolist() == [3, 6, 4, 5]
    assert integers(words, -2, -1).tolist() == [-2] * 4
    assert integers(words, 0, 2**31 - 1)[1] == 2**31 - 2


def test_integers_take_bounds_for_every_row():
    words = torch.tensor([[0, -1], [0, -1]], dtype=torch.int32)
    low, high = torch.tensor([[1], [5]]), torch.tensor([[4], [6]])
    assert integers(words, low, high).tolist() == [[1, 3], [5, 5]]


def test_integers_are_uniform():
    drawn = integers(random_words([13], 0, 0, 100, 1000), 0, 97)
    assert abs(chi_square_z(drawn.flatten().bincount(minlength=97))) < 4


@given(st.sampled_from([1, 2, 4, 8, 16]), st.integers(1, 70), st.integers(0, 2**32))
def test_bit_fields_are_the_digits_of_the_words(num_bits, num_fields, seed):
    num_words = num_field_words(num_fields, num_bits)
    words = random_words([seed, 5], 1, 2, num_words, 3)
    fields = bit_fields(words, num_bits, num_fields)
    assert fields.shape == (num_fields, 2, 3)
    for replica, row in itertools.product(range(2), range(3)):
        whole = sum((int(word) & MASK) << 32 * index for index, word in enumerate(words[:, replica, row]))
        digits = [whole >> num_bits * index & 2**num_bits - 1 for index in range(num_fields)]
        assert fields[:, replica, row].tolist() == digits


def test_no_field_needs_a_word_too_many():
    assert [num_field_words(count, 2) for count in (1, 16, 17, 32, 33)] == [1, 1, 2, 2, 3]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seeds": [0, -1]}, r"seed must be in \[0, 9223372036854775808\), got -1"),
        ({"seeds": [2**63]}, "seed must be in"),
        ({"seeds": []}, "seeds must have at least one entry"),
        ({"stream": -1}, "stream must be in"),
        ({"stream": 2**32}, "stream must be in"),
        ({"update": -1}, "update must be in"),
        ({"update": 2**32}, "update must be in"),
        ({"num_positions": 0}, "number of positions must be in"),
        ({"num_positions": 2**32 + 1}, "number of positions must be in"),
        ({"num_rows": 0}, "batch_size must be in"),
        ({"first_row": -1}, "first_row must be in"),
        ({"first_row": 2**32 - 1, "num_rows": 2}, r"first_row \+ batch_size must be in"),
    ],
)
def test_places_beyond_the_limits_are_refused(changed, message):
    arguments = {"seeds": [0], "stream": 0, "update": 0, "num_positions": 2, "num_rows": 1, "first_row": 0} | changed
    with pytest.raises(ValueError, match=message):
        random_words(**arguments)


def test_the_last_place_is_within_the_limits():
    word = random_words([2**63 - 1], MASK, MASK, 1, 1, first_row=2**32 - 1)
    assert int(word) & MASK == word_reference(2**63 - 1, MASK, MASK, 0, 2**32 - 1)
