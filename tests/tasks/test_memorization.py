"""Memorization against its definition, by plain loops over sequences."""

import itertools
import math

import pytest
import torch

from rnnbench.tasks.base import Batch, Stream
from rnnbench.tasks.memorization import Memorization
from rnnbench.tasks.one_bit import OneBit

SIZES = [(2, 5), (5, 10), (2, 1), (3, 2)]


def shown(batch, replica=0):
    """The symbols that each sequence of a replica shows; every step shows one."""
    assert bool(((batch.inputs == 0) | (batch.inputs == 1)).all())
    assert bool((batch.inputs.sum(-1) == 1).all())
    return batch.inputs[:, replica].argmax(-1).t().tolist()


@pytest.mark.parametrize("variant", Memorization.variants)
@pytest.mark.parametrize(("num_symbols", "num_positions"), SIZES)
@pytest.mark.parametrize("more_steps", [1, 2, 9])
def test_every_sequence_shows_what_its_targets_say(variant, num_symbols, num_positions, more_steps):
    n, p = num_symbols, num_positions
    blank, trigger = n, n + 1
    length = more_steps + (0 if variant == "pascanu13" else 2 * p)
    task = Memorization(length, variant, n, p)
    batch = task.replica_batch([3], Stream.GRADIENT, 5, 60)
    assert (task.input_size, task.output_size) == (n + 2, n + 1)
    for symbols, targets in zip(shown(batch), batch.targets[:, 0].t().tolist(), strict=True):
        data = symbols[:p]
        assert all(symbol < n for symbol in data)
        if variant == "pascanu13":
            # As many blanks as T says, then the trigger, which is the first of the answers' steps.
            assert symbols[p:] == [blank] * length + [trigger] + [blank] * (p - 1)
            assert len(symbols) == length + 2 * p
        else:
            assert symbols[p:] == [blank] * (length - 2 * p - 1) + [trigger] + [blank] * p
            assert len(symbols) == length
        assert targets == (data if variant == "hf11_answers" else [blank] * (len(symbols) - p) + data)


@pytest.mark.parametrize(("num_symbols", "num_positions"), [(2, 5), (2, 1), (3, 2)])
def test_a_batch_goes_through_all_patterns_in_turn(num_symbols, num_positions):
    task = Memorization(20, num_symbols=num_symbols, num_positions=num_positions)
    patterns = sorted(itertools.product(range(num_symbols), repeat=num_positions))
    batch = task.replica_batch([1, 2], Stream.GRADIENT, 9, 3 * len(patterns), first_row=5)
    for replica in range(2):
        found = sorted(tuple(symbols[:num_positions]) for symbols in shown(batch, replica))
        assert found == sorted(3 * patterns)
    singles = [task.replica_batch([1], Stream.GRADIENT, update, 1) for update in range(40, 40 + len(patterns))]
    assert sorted(tuple(shown(one)[0][:num_positions]) for one in singles) == patterns
    later = task.replica_batch([1, 2], Stream.GRADIENT, [9, 10], 4)
    assert shown(later, 0)[1:] == shown(later, 1)[:3]


def test_many_patterns_are_drawn():
    task = Memorization(30, num_symbols=5, num_positions=10)
    symbols = torch.tensor(shown(task.replica_batch([4], Stream.GRADIENT, 0, 5000)))[:, :10]
    for position in symbols.t():
        counts = position.bincount(minlength=5).double()
        z = (float(((counts - 1000) ** 2 / 1000).sum()) - 4) / 8**0.5
        assert abs(z) < 4, counts.tolist()
    assert len({tuple(row) for row in symbols.tolist()}) > 4990


def hand_made(wrong, variant):
    """Outputs for two sequences of nine steps, wrong at some pairs of a step and a row."""
    task = Memorization(9, variant, num_symbols=3, num_positions=2)
    batch = task.replica_batch([1], Stream.GRADIENT, 0, 2)
    outputs = torch.nn.functional.one_hot(batch.targets, 4).float()
    for step, row in wrong:
        outputs[step, 0, row] *= -1
    return task, outputs, batch


@pytest.mark.parametrize(
    ("wrong", "misses", "wrong_symbols"),
    [
        ([], [False, False], [0, 0]),
        ([(-1, 0)], [True, False], [1, 0]),
        ([(-1, 1), (-2, 1)], [False, True], [0, 2]),
        ([(-3, 0)], [True, False], [0, 0]),  # a blank is no answer
        ([(0, 0), (-2, 1)], [True, True], [0, 1]),
    ],
)
def test_misses_and_scores(wrong, misses, wrong_symbols):
    task, outputs, batch = hand_made(wrong, "hf11")
    losses = torch.arange(18.0).view(9, 1, 2)
    assert task.misses(outputs, batch).tolist() == [misses]
    scores = {tag: score[0].tolist() for tag, score in task.scores(outputs, losses, batch).items()}
    assert scores == {
        "answer_loss/eval": [15.0, 16.0],  # of steps 7 and 8
        "wrong_symbols/eval": wrong_symbols,
        "exact_sequence_rate/eval": [number == 0 for number in wrong_symbols],
    }


def test_answers_alone_decide_where_there_is_nothing_else():
    task, outputs, batch = hand_made([(-2, 1)], "hf11_answers")
    assert len(outputs) == 2
    assert task.misses(outputs, batch).tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("variant", "num_symbols", "num_positions", "num_outputs"),
    [
        ("hf11", 2, 5, 60),
        ("hf11", 5, 10, 60),
        ("hf11_answers", 2, 5, 5),
        ("hf11_answers", 5, 10, 10),
        ("pascanu13", 2, 5, 70),
        ("pascanu13", 5, 10, 80),
    ],
)
def test_scores_of_the_constant_predictor(variant, num_symbols, num_positions, num_outputs):
    """Per sequence 5 ln 2 or 10 ln 5 nats, 2.5 or 8 wrong symbols, and 1 in 2^5 or 5^10 exact ones."""
    task = Memorization(60, variant, num_symbols, num_positions)
    assert task.num_outputs == num_outputs
    nats = {2: 3.4657, 5: 16.0944}[num_symbols]
    assert task.baseline_loss * num_outputs == pytest.approx(nats, abs=1e-4)
    assert task.baseline_error_rate == pytest.approx(1 - {2: 1 / 32, 5: 5**-10}[num_symbols], rel=1e-12)
    batch = task.replica_batch([1], Stream.GRADIENT, 0, 32 if num_symbols == 2 else 4000)
    outputs = torch.nn.functional.one_hot(torch.zeros_like(batch.targets), num_symbols + 1)  # always symbol 0
    scores = task.scores(outputs, torch.zeros(outputs.shape[:3]), batch)
    expected = {2: 2.5, 5: 8.0}[num_symbols]
    spread = 0.0 if num_symbols == 2 else 4 * (10 * 0.8 * 0.2 / 4000) ** 0.5
    assert abs(float(scores["wrong_symbols/eval"].double().mean()) - expected) <= spread


@pytest.mark.parametrize("variant", ["hf11", "hf11_answers", "pascanu13"])
def test_one_bit_is_memorization_of_one_of_two_symbols(variant):
    ours, theirs = OneBit(12, variant), Memorization(12, variant, 2, 1)
    assert ours.baseline_loss == theirs.baseline_loss
    assert ours.description == theirs.description
    left, right = (task.replica_batch([3], Stream.GRADIENT, 2, 5) for task in (ours, theirs))
    assert torch.equal(left.inputs, right.inputs)
    assert torch.equal(left.targets, right.targets)


def test_boulanger13_shows_the_bit_among_noise():
    task = OneBit(12, "boulanger13")
    batch = task.replica_batch([3], Stream.GRADIENT, 2, 4000)
    assert batch.inputs.unique().tolist() == [0, 1]
    assert torch.equal(batch.targets, batch.inputs[:1])
    assert batch.output_steps is not None
    assert bool((batch.output_steps == 11).all())
    ones = batch.inputs[:, 0, :, 0].mean(1)
    assert bool(((ones - 0.5).abs() < 4 * (0.25 / 4000) ** 0.5).all())
    correlation = torch.corrcoef(batch.inputs[:, 0, :, 0])
    assert bool((correlation - torch.eye(12)).abs().max() < 4.5 / 4000**0.5)


@pytest.mark.parametrize(("output", "wrong"), [(0.1, False), (-0.1, True), (0.0, True), (math.nan, True)])
def test_boulanger13_asks_for_a_sign(output, wrong):
    task = OneBit(12, "boulanger13")
    batch = Batch(torch.empty(0), torch.empty(0), None, torch.ones(1, 1, 1, 1))
    outputs = torch.full((1, 1, 1, 1), output)
    assert task.misses(outputs, batch).tolist() == [[wrong]]
    scores = task.scores(outputs, torch.full((1, 1, 1), 0.7), batch)
    assert {tag: float(score) for tag, score in scores.items()} == {
        "answer_loss/eval": pytest.approx(0.7),
        "wrong_symbols/eval": wrong,
        "exact_sequence_rate/eval": not wrong,
    }


def test_the_stream_never_changes():
    """What seed 7 means: a change here makes every recorded run irreproducible."""
    drawn = Memorization(22, num_symbols=5, num_positions=10).replica_batch([7], Stream.GRADIENT, 3, 2)
    assert ["".join(map(str, symbols)) for symbols in shown(drawn)] == [
        "0222412023565555555555",
        "2020111133565555555555",
    ]
    in_turn = Memorization(11).replica_batch([7], Stream.GRADIENT, 3, 2)
    assert ["".join(map(str, symbols)) for symbols in shown(in_turn)] == ["11000322222", "00100322222"]
    noise = OneBit(12, "boulanger13").replica_batch([7], Stream.GRADIENT, 3, 1)
    assert "".join(str(int(bit)) for bit in noise.inputs.flatten()) == "010110101100"
