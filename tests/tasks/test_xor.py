"""The xor problem against its definition, by plain loops over sequences."""

import math

import pytest
import torch

from rnnbench.tasks.base import Batch, Stream
from rnnbench.tasks.xor import Xor

NUM_ROWS = 20_000
# At T = 100, as published: the lengths, then the windows of both steps.
LENGTHS = {"hf11": range(51, 56), "thesis": range(100, 111), "psgd22": range(100, 101)}


def assert_uniform(drawn, numbers):
    """Inside the numbers, and by chi-square equally often: within 4 standard deviations at a fixed seed."""
    assert int(drawn.min()) >= numbers[0]
    assert int(drawn.max()) <= numbers[-1]
    counts = (drawn - numbers[0]).bincount(minlength=len(numbers)).double()
    expected, degrees = len(drawn) / len(numbers), len(numbers) - 1
    z = (float(((counts - expected) ** 2 / expected).sum()) - degrees) / (2 * max(degrees, 1)) ** 0.5
    assert abs(z) < 4, counts.tolist()


@pytest.mark.parametrize("variant", Xor.variants)
@pytest.mark.parametrize("sequence_length", [12, 50, 100])
def test_every_sequence_shows_what_its_target_says(variant, sequence_length):
    task = Xor(sequence_length, variant)
    batch = task.replica_batch([3], Stream.GRADIENT, 5, 200, dtype=torch.float64)
    bits, markers = batch.inputs[:, 0].unbind(-1)
    for row, (length, target) in enumerate(
        zip(batch.lengths[0].tolist(), batch.targets[0, 0, :, 0].tolist(), strict=True)
    ):
        bit, marker = bits[:, row].tolist(), markers[:, row].tolist()
        cues = [0, length - 4] if variant == "hf11" else []
        assert [step for step, mark in enumerate(marker) if mark == -1] == cues
        first, second = (step for step, mark in enumerate(marker) if mark == 1)
        assert target == (bit[first] != bit[second])
        assert set(bit) <= ({-1.0, 1.0} if variant == "psgd22" else {0.0, 1.0})
        assert set(marker) <= {-1.0, 0.0, 1.0}
        assert not any(bit[length:])


def test_psgd22_draws_steps_from_the_published_ranges():
    for length, windows in ((100, (range(10), range(10, 50))), (20, (range(2), range(2, 10)))):
        batch = Xor(length, "psgd22").replica_batch([4], Stream.GRADIENT, 0, NUM_ROWS)
        steps = (batch.inputs[:, 0, :, 1] == 1).t().nonzero()[:, 1].view(-1, 2).t()
        assert_uniform(steps[0], windows[0])
        assert_uniform(steps[1], windows[1])


def test_hf11_draws_lengths_and_steps_from_the_published_ranges():
    batch = Xor(100).replica_batch([4], Stream.GRADIENT, 0, NUM_ROWS)
    steps = (batch.inputs[:, 0, :, 1] == 1).t().nonzero()[:, 1].view(-1, 2).t()
    assert_uniform(steps[0], range(1, 10))
    assert_uniform(steps[1], range(15, 25))


@pytest.mark.parametrize("variant", Xor.variants)
def test_lengths_bits_and_targets_are_uniform(variant):
    batch = Xor(100, variant).replica_batch([4], Stream.GRADIENT, 0, NUM_ROWS)
    assert_uniform(batch.lengths[0], LENGTHS[variant])
    assert_uniform((batch.inputs[: LENGTHS[variant][0], 0, :, 0] > 0).long().flatten(), range(2))
    assert_uniform(batch.targets[0, 0, :, 0].long(), range(2))


def test_one_bit_alone_says_nothing():
    """The four pairs of a marked bit and the target are equally frequent."""
    batch = Xor(50).replica_batch([5], Stream.GRADIENT, 0, NUM_ROWS)
    bits, markers = batch.inputs[:, 0].unbind(-1)
    operands = bits.t()[(markers == 1).t()].view(-1, 2).long()
    for operand in operands.t():
        assert_uniform(2 * operand + batch.targets[0, 0, :, 0].long(), range(4))


@pytest.mark.parametrize(
    ("variant", "target", "outputs", "expected"),
    [
        ("hf11", 1.0, [0.1, 9.0, 0.0, -0.1, math.inf, math.nan], [False, False, True, True, False, True]),
        ("hf11", 0.0, [0.1, 9.0, 0.0, -0.1, -math.inf, math.nan], [True, True, False, False, False, True]),
        ("psgd22", 1.0, [0.1, 9.0, 0.0, -0.1, math.inf, math.nan], [False, False, True, True, False, True]),
        ("thesis", 1.0, [0.6, 9.0, 0.5, 0.4, math.inf, math.nan], [False, False, True, True, False, True]),
        ("thesis", 0.0, [0.6, 9.0, 0.5, 0.4, -math.inf, math.nan], [True, True, False, False, False, True]),
    ],
)
def test_what_counts_as_a_miss(variant, target, outputs, expected):
    batch = Batch(torch.empty(0), torch.empty(0), None, torch.full((1, 1, 6, 1), target))
    assert Xor(50, variant).misses(torch.tensor(outputs).view(1, 1, 6, 1), batch)[0].tolist() == expected


def test_scores_of_the_constant_predictor():
    assert (Xor(50).loss, Xor(50).baseline_loss) == ("sigmoid_cross_entropy", pytest.approx(math.log(2)))
    assert (Xor(50, "thesis").loss, Xor(50, "thesis").baseline_loss) == ("squared_error", 0.25)
    assert {Xor(50, variant).baseline_error_rate for variant in Xor.variants} == {0.5}


def test_the_stream_never_changes():
    """What seed 7 means: a change here makes every recorded run irreproducible."""
    batch = Xor(40).replica_batch([7], Stream.GRADIENT, 3, 4)
    assert batch.lengths.tolist() == [[21, 22, 21, 22]]
    assert "".join(str(int(bit)) for bit in batch.inputs[:, 0, 0, 0]) == "0010011111010101011100"
    assert batch.targets[0, 0, :, 0].tolist() == [0.0, 0.0, 0.0, 1.0]
