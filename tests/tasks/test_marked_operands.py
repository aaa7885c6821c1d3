"""Adding and multiplication against their definitions, by plain loops over sequences."""

import math

import pytest
import torch

from rnnbench.tasks.adding import Adding
from rnnbench.tasks.base import Batch, Stream
from rnnbench.tasks.multiplication import Multiplication

NUM_ROWS = 20_000
BUILDERS = {"adding": Adding, "multiplication": Multiplication}
PAIRS = [(name, variant) for name, builder in BUILDERS.items() for variant in builder.variants]
LENGTHS_AT_50 = {
    "hf11": range(51, 56),
    "thesis": range(50, 56),
    "pascanu13": range(50, 55),
    "urnn16": range(50, 51),
    "cornn21": range(50, 51),
    "hs97": range(50, 56),
}


def chi_square_z(counts, expected):
    """Standard deviations by which the chi-square statistic lies above its mean; no cell's expectation may be 0."""
    degrees = len(counts) - 1
    statistic = sum((count - mean) ** 2 / mean for count, mean in zip(counts, expected, strict=True))
    return (statistic - degrees) / (2 * degrees) ** 0.5


def assert_uniform(drawn, numbers):
    assert int(drawn.min()) >= numbers[0]
    assert int(drawn.max()) <= numbers[-1]
    counts = (drawn - numbers[0]).bincount(minlength=len(numbers)).tolist()
    if len(numbers) > 1:
        assert abs(chi_square_z(counts, [len(drawn) / len(numbers)] * len(numbers))) < 4, counts


def channels(task, batch):
    """Values and markers of the first replica, (T, B) each."""
    value_channel = 1 if task.variant == "pascanu13" else 0
    return batch.inputs[:, 0, :, value_channel], batch.inputs[:, 0, :, 1 - value_channel]


def marked_steps(markers):
    """The steps with marker 1 of sequences that have two of them each, (2, B)."""
    return (markers == 1).t().nonzero()[:, 1].view(-1, 2).t()


def target_by_hand(name, variant, operands):
    """The target, from the operands that the markers show."""
    if name == "multiplication":
        return math.prod(operands)
    total = sum(operands)
    if variant == "hs97":
        return 0.5 + total / 4
    return total / 2 if variant in ("thesis", "pascanu13") else total


@pytest.mark.parametrize(("name", "variant"), PAIRS)
@pytest.mark.parametrize("sequence_length", [11, 50, 100])
def test_every_sequence_shows_what_its_target_says(name, variant, sequence_length):
    task = BUILDERS[name](sequence_length, variant)
    batch = task.replica_batch([3], Stream.GRADIENT, 5, 200, dtype=torch.float64)
    values, markers = channels(task, batch)
    hidden = 0
    targets = batch.targets[0, 0, :, 0].tolist()
    for row, (length, target) in enumerate(zip(batch.lengths[0].tolist(), targets, strict=True)):
        value, marker = values[:, row].tolist(), markers[:, row].tolist()
        cues = {"hf11": [0, length - 4], "hs97": [0, length - 1]}.get(variant, [])
        assert [step for step, mark in enumerate(marker) if mark == -1] == cues
        ones = [step for step, mark in enumerate(marker) if mark == 1]
        assert set(marker) <= {-1.0, 0.0, 1.0}
        assert all(step < length for step in ones)
        if len(ones) == 1:
            hidden += 1
        else:
            assert len(ones) == 2
        assert target == pytest.approx(target_by_hand(name, variant, [value[step] for step in ones]), abs=1e-15)
        assert value[length:] == [0.0] * (task.num_steps - length)
    assert (hidden > 0) == (variant == "hs97")


@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_lengths_are_uniform(name, variant):
    task = BUILDERS[name](50, variant)
    if variant == "pascanu13":
        lengths = torch.cat([task.replica_batch(range(300), Stream.GRADIENT, u, 1).lengths.flatten() for u in range(4)])
    else:
        lengths = task.replica_batch([4], Stream.GRADIENT, 0, NUM_ROWS).lengths[0]
    assert_uniform(lengths, LENGTHS_AT_50[variant])
    assert task.num_steps == LENGTHS_AT_50[variant][-1]


@pytest.mark.parametrize("builder", BUILDERS.values())
def test_pascanu13_has_one_length_for_a_replica_and_update(builder):
    task = builder(100, "pascanu13")
    lengths = torch.stack([task.replica_batch([1, 2, 3], Stream.GRADIENT, update, 9).lengths for update in range(8)])
    assert bool((lengths == lengths[:, :, :1]).all())
    assert len(lengths[:, 0, 0].unique()) > 1
    assert not torch.equal(lengths[:, 0], lengths[:, 1])
    later = task.replica_batch([1, 2, 3], Stream.GRADIENT, 0, 9, first_row=900).lengths
    assert torch.equal(later, lengths[0])


@pytest.mark.parametrize(
    ("variant", "sequence_length", "first", "second"),
    [
        ("hf11", 100, range(1, 10), range(10, 50)),
        ("hf11", 200, range(2, 20), range(20, 100)),
        ("hf11", 50, range(1, 5), range(5, 25)),
        ("hf11", 6, range(1, 2), range(2, 3)),
        ("urnn16", 50, range(25), range(25, 50)),
        ("cornn21", 51, range(25), range(25, 51)),
    ],
)
def test_marked_steps_are_uniform_over_their_windows(variant, sequence_length, first, second):
    task = Adding(sequence_length, variant)
    steps = marked_steps(channels(task, task.replica_batch([5], Stream.GRADIENT, 0, NUM_ROWS))[1])
    assert_uniform(steps[0], first)
    assert_uniform(steps[1], second)


@pytest.mark.parametrize("variant", ["thesis", "pascanu13"])
def test_marked_steps_are_uniform_over_fractions_of_their_own_sequence(variant):
    task = Adding(95, variant)  # lengths 95..104: the tenth is 9 or 10; of pascanu13, the last steps differ at 102, 104
    batches = [task.replica_batch([6], Stream.GRADIENT, update, NUM_ROWS // 10) for update in range(20)]
    steps = torch.cat([marked_steps(channels(task, batch)[1]) for batch in batches], dim=1)
    lengths = torch.cat([batch.lengths[0] for batch in batches])
    for tenth in (9, 10):
        chosen = lengths // 10 == tenth
        assert_uniform(steps[0, chosen], range(tenth))
    for length in lengths.unique().tolist():
        stop = length // 2 if variant == "thesis" else length // 10 + 4 * length // 10
        assert_uniform(steps[1, lengths == length], range(length // 10, stop))


def test_marked_steps_of_hs97():
    """I is one of ten steps, J the k-th still unmarked one; the pair of them has closed-form frequencies."""
    task = Adding(24, "hs97")  # eleven candidates for J
    markers = channels(task, task.replica_batch([7], Stream.GRADIENT, 0, 50_000))[1]
    cells = {}
    for i in range(10):
        unmarked = [step for step in range(24) if step != i][:11]
        for j in unmarked:
            shown = frozenset({i, j} - {0})
            cells[shown] = cells.get(shown, 0.0) + 50_000 / 110
    counts = dict.fromkeys(cells, 0)
    for row in (markers == 1).t():
        counts[frozenset(row.nonzero()[:, 0].tolist())] += 1
    assert abs(chi_square_z(list(counts.values()), list(cells.values()))) < 4
    lost = sum(count for cell, count in counts.items() if len(cell) == 1) / 50_000
    assert task.lost_mark_rate == pytest.approx(0.1 + 0.9 / 11)
    assert abs(lost - task.lost_mark_rate) < 4 * (0.15 / 50_000) ** 0.5


@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_values_are_uniform(name, variant):
    task = BUILDERS[name](50, variant)
    values = channels(task, task.replica_batch([8], Stream.GRADIENT, 0, 2000, dtype=torch.float64))[0][:50]
    low = -1.0 if (name, variant) == ("adding", "hs97") else 0.0
    assert float(values.min()) >= low
    assert float(values.max()) < 1
    width = 1 - low
    standard_error = width / (12 * values.numel()) ** 0.5
    assert abs(float(values.mean()) - (1 + low) / 2) < 4 * standard_error
    cells = ((values - low) / width * 100).long().flatten().bincount(minlength=100).tolist()
    assert abs(chi_square_z(cells, [values.numel() / 100] * 100)) < 4


def hand_made(task, target, outputs):
    """Misses of some outputs for sequences of one target."""
    targets = torch.full((1, 1, len(outputs), 1), target, dtype=torch.float64)
    batch = Batch(torch.empty(0), torch.empty(0), None, targets)
    return task.misses(torch.tensor(outputs, dtype=torch.float64).view(1, 1, -1, 1), batch)[0].tolist()


@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_what_counts_as_a_miss(name, variant):
    task = BUILDERS[name](50, variant)
    if variant == "pascanu13":  # squared error > 0.04
        expected = [False, False, False, True, True, True]
    else:  # absolute error > 0.04
        expected = [False, False, True, True, True, True]
    assert hand_made(task, 0.5, [0.5, 0.461, 0.541, 0.701, 0.299, math.inf]) == expected


@pytest.mark.parametrize(
    ("task", "loss", "error_rate"),
    [
        (Adding(50), 1 / 6, 0.9216),
        (Adding(50, "thesis"), 1 / 24, 0.8464),
        (Adding(50, "pascanu13"), 1 / 24, 0.36),
        (Adding(50, "urnn16"), 1 / 6, 0.9216),
        (Adding(10**6, "hs97"), 1 / 24 * 0.95, 0.9 * 0.8464 + 0.1 * 0.84),
        (Multiplication(50), 7 / 144, 0.889),
        (Multiplication(50, "thesis"), 7 / 144, 0.889),
        (Multiplication(50, "pascanu13"), 7 / 144, 0.390),
    ],
)
def test_scores_of_the_constant_predictor(task, loss, error_rate):
    assert task.baseline_loss == pytest.approx(loss, rel=1e-5)
    assert task.baseline_error_rate == pytest.approx(error_rate, abs=5e-4)


def test_when_it_counts_as_solved():
    assert Multiplication(50, "hs97").solved_error_rate == 13 / 2000
    others = [BUILDERS[n](50, v) for n, v in PAIRS if (n, v) != ("multiplication", "hs97")]
    assert {task.solved_error_rate for task in others} == {0.01}


def test_the_stream_never_changes():
    """What seed 7 means: a change here makes every recorded run irreproducible."""
    batch = Adding(20).replica_batch([7], Stream.GRADIENT, 3, 4)
    assert batch.lengths.tolist() == [[21, 22, 21, 22]]
    assert (batch.inputs[:4, 0, 0, 0] * 2**24).tolist() == [8761003.0, 15400722.0, 5767386.0, 9885195.0]
    assert batch.inputs[:, 0, 0, 1].tolist() == [-1.0, 1.0, *[0.0] * 3, 1.0, *[0.0] * 11, -1.0, *[0.0] * 4]
    assert (batch.targets[0, 0, :, 0].double() * 2**24).tolist() == [24454316.0, 18309400.0, 20320348.0, 13255634.0]


@pytest.mark.parametrize(("name", "variant"), PAIRS)
def test_centered_inputs_and_targets_are_those_less_their_means(name, variant):
    plain, centered = (
        BUILDERS[name](50, variant, flag).replica_batch([3], Stream.GRADIENT, 0, NUM_ROWS, dtype=torch.float64)
        for flag in (False, True)
    )
    shown = torch.arange(len(plain.inputs)).view(-1, 1, 1) < plain.lengths
    differences = (plain.inputs - centered.inputs)[shown]
    assert (differences - differences[0]).abs().max() < 1e-15
    assert not centered.inputs[~shown].any()
    offset = plain.targets - centered.targets
    assert (offset - offset[0, 0, 0]).abs().max() < 1e-15
    for values in (centered.inputs[shown], centered.targets.view(-1, 1)):
        assert (values.mean(0).abs() < 4.5 * values.std(0) / NUM_ROWS**0.5).all()
