"""The random permutation problem against its definition."""

import math

import pytest
import torch

from rnnbench.tasks.base import Stream
from rnnbench.tasks.random_permutation import RandomPermutation

VARIANTS = RandomPermutation.variants


def symbols_of(batch):
    """The symbols shown to the first replica, (T, B); every step shows one."""
    assert bool(((batch.inputs == 0) | (batch.inputs == 1)).all())
    assert bool((batch.inputs.sum(-1) == 1).all())
    return batch.inputs[:, 0].argmax(-1)


@pytest.mark.parametrize("sequence_length", [2, 3, 50])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_sequence_shows_what_its_targets_say(variant, sequence_length):
    batch = RandomPermutation(sequence_length, variant).replica_batch([3], Stream.GRADIENT, 5, 100)
    shown = symbols_of(batch)
    assert batch.lengths.tolist() == [[sequence_length] * 100]
    for row, targets in enumerate(batch.targets[:, 0].t().tolist()):
        symbols = shown[:, row].tolist()
        assert len(symbols) == sequence_length
        assert symbols[0] in (0, 1)
        assert all(2 <= symbol <= 99 for symbol in symbols[1:])
        assert targets == ([*symbols[1:], symbols[0]] if variant == "hf11" else symbols[:1])


@pytest.mark.parametrize("variant", VARIANTS)
def test_symbols_are_uniform(variant):
    shown = symbols_of(RandomPermutation(50, variant).replica_batch([4], Stream.GRADIENT, 0, 2000))
    counts = shown[1:].flatten().bincount(minlength=100)[2:].double()
    expected = counts.sum() / 98
    z = (float(((counts - expected) ** 2 / expected).sum()) - 97) / (2 * 97) ** 0.5
    assert abs(z) < 4
    ones = float(shown[0].double().mean())
    assert abs(ones - 0.5) < (1e-9 if variant == "hf11" else 4 * (0.25 / 2000) ** 0.5)


def test_hf11_balances_the_first_symbol_within_a_batch_and_over_updates():
    task = RandomPermutation(10)
    batch = task.replica_batch([1, 2], Stream.GRADIENT, 9, 10, first_row=3)
    assert batch.targets[-1].tolist() == [[0, 1] * 5] * 2
    assert [int(task.replica_batch([1], Stream.GRADIENT, update, 1).targets[-1]) for update in range(4)] == [0, 1, 0, 1]
    several = task.replica_batch([1, 2], Stream.GRADIENT, [4, 5], 2)
    assert several.targets[-1].tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("variant", VARIANTS)
def test_only_the_last_output_counts(variant):
    task = RandomPermutation(5, variant)
    batch = task.replica_batch([1], Stream.GRADIENT, 0, 3)
    outputs = torch.nn.functional.one_hot(batch.targets, 100).float()
    outputs[:-1] = 0  # knows nothing of the others
    outputs[-1, 0, 1] *= -1
    assert task.misses(outputs, batch).tolist() == [[False, True, False]]
    losses = torch.arange(batch.targets.numel()).view(batch.targets.shape)
    assert {tag: score.tolist() for tag, score in task.scores(outputs, losses, batch).items()} == {
        "answer_loss/eval": losses[-1].tolist()
    }


def test_scores_of_the_constant_predictor():
    assert RandomPermutation(100).baseline_loss == pytest.approx((99 * 4.58497 + math.log(2)) / 100, abs=1e-5)
    assert RandomPermutation(100, "pascanu13").baseline_loss == pytest.approx(math.log(2))
    assert {RandomPermutation(9, variant).baseline_error_rate for variant in VARIANTS} == {0.5}


def test_the_stream_never_changes():
    """What seed 7 means: a change here makes every recorded run irreproducible."""
    batch = RandomPermutation(8).replica_batch([7], Stream.GRADIENT, 3, 2)
    assert symbols_of(batch).t().tolist() == [[1, 60, 47, 53, 91, 35, 59, 10], [0, 17, 59, 8, 38, 31, 40, 27]]
