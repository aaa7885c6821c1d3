"""Where every variant puts things, at every length from 10 to 300, against the formulas of its publication.

The formulas are written here once more, in whole numbers; those of pascanu13 in floating point, as its code has them.
That batches follow the places is tested beside each task.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch

from rnnbench.tasks.adding import Adding
from rnnbench.tasks.memorization import Memorization
from rnnbench.tasks.multiplication import Multiplication
from rnnbench.tasks.temporal_order import TemporalOrder
from rnnbench.tasks.xor import Xor

LENGTHS = range(10, 301)
NUM_WORDS = 2**32

Windows = Sequence[tuple[int, int]]
"""First and last step of each."""


@dataclass(frozen=True)
class Formula:
    """What a publication says.

    Attributes:
        last_steps: T -> the steps at which a sequence may end, where the answer is asked for.
        windows: T and the last step -> the windows of the steps that matter.
        before_end: Steps from the cue or trigger near the end to the last step; None where there is none, and step 0
            shows neither cue nor start.
    """

    last_steps: Callable[[int], range]
    windows: Callable[[int, int], Windows]
    before_end: int | None = None


def hf11_last_steps(low, high):
    """Its code draws the index of the step with the loss, from `low` to below `high` hundredths of T."""
    return lambda t: range(t * low // 100, t * high // 100)


def hf11_operands(*second):
    def windows(t, last):
        # Step 0 shows the cue, so that I starts at 1 where T / 100 rounds to 0; where that leaves nothing, I is 1.
        start, stop = max(t // 100, 1), max(t // 10, 2)
        return (start, stop - 1), (max(t * second[0] // 100, stop), t * second[1] // 100 - 1)

    return windows


def hf11_symbols(*hundredths):
    return lambda t, last: [(max(t * low // 100, 1), t * high // 100) for low, high in hundredths]


def thesis_operands(t, last):
    """Counted from 1, I is in 1 .. L/10 and J in L/10 .. L/2, without the step that both would have."""
    length = last + 1
    return (0, length // 10 - 1), (length // 10, length // 2 - 1)


def pascanu13_operands(t, last):
    """randint(k) gives 0 to k - 1: I = randint(int(.1 L)), J = int(.1 L) + randint(int(.4 L))."""
    length = last + 1
    tenth = int(length * 0.1)
    return (0, tenth - 1), (tenth, tenth + int(length * 0.4) - 1)


def pascanu13_symbols(*starts):
    """As randint(int(.1 T)) + int(start T)."""
    return lambda t, last: [(int(t * start), int(t * start) + int(t * 0.1) - 1) for start in starts]


def urnn16_operands(t, last):
    """I = randint(T/2), J = T/2 + randint(T/2), in whole numbers."""
    return (0, t // 2 - 1), (t // 2, t // 2 + t // 2 - 1)


def cornn21_operands(t, last):
    """I = randint(half), J = randint(half, T)."""
    return (0, t // 2 - 1), (t // 2, t - 1)


def psgd22_operands(t, last):
    """I = randint(T // 10), J = randint(T // 10, T // 2), with at least one step for I."""
    first = max(1, t // 10)
    return (0, first - 1), (first, t // 2 - 1)


def to_eleven_tenths(t):
    """Lengths T to 11T/10, both included."""
    return range(t - 1, t + t // 10)


def one_length(t):
    return range(t - 1, t)


def pascanu13_last_steps(t):
    """Lengths T + randint(int(.1 T))."""
    return range(t - 1, t + int(t * 0.1) - 1)


OPERANDS = {
    "hf11": Formula(hf11_last_steps(100, 110), hf11_operands(10, 50), before_end=3),
    "thesis": Formula(to_eleven_tenths, thesis_operands),
    "pascanu13": Formula(pascanu13_last_steps, pascanu13_operands),
    "urnn16": Formula(one_length, urnn16_operands),
    "cornn21": Formula(one_length, cornn21_operands),
}
XOR = {
    "hf11": Formula(hf11_last_steps(50, 55), hf11_operands(15, 25), before_end=3),
    "thesis": OPERANDS["thesis"],
    "psgd22": Formula(one_length, psgd22_operands),
}
SYMBOLS = {
    ("hf11", 2): Formula(hf11_last_steps(100, 110), hf11_symbols((1, 10), (40, 50)), before_end=1),
    ("hf11", 3): Formula(hf11_last_steps(100, 110), hf11_symbols((1, 10), (30, 40), (50, 60)), before_end=0),
    ("pascanu13", 2): Formula(one_length, pascanu13_symbols(0.1, 0.5)),
    ("pascanu13", 3): Formula(one_length, pascanu13_symbols(0.1, 0.3, 0.6)),
    ("hs97", 2): Formula(to_eleven_tenths, hf11_symbols((10, 20), (50, 60)), before_end=0),
    ("hs97", 3): Formula(to_eleven_tenths, hf11_symbols((10, 20), (33, 43), (66, 76)), before_end=0),
}
MARKED = [
    (builder, variant, (XOR if builder is Xor else OPERANDS)[variant])
    for builder in (Adding, Multiplication, Xor)
    for variant in builder.variants
    if variant != "hs97"
]


def extreme_words(num_lengths):
    """Random words that draw each length with the first and the last step of two windows, (3, lengths, 4), int32."""
    firsts = torch.tensor([-(-index * NUM_WORDS // num_lengths) for index in range(num_lengths)])
    ends = torch.tensor(list(itertools.product([0, NUM_WORDS - 1], repeat=2))).t()
    shape = (num_lengths, 4)
    words = (firsts.unsqueeze(1).expand(shape), *(end.expand(shape) for end in ends))
    return torch.stack(words).to(torch.int32)


@pytest.mark.parametrize(("builder", "variant", "formula"), MARKED)
def test_operands_and_cues_are_where_the_publication_has_them(builder, variant, formula):
    for t in range(max(LENGTHS.start, builder.smallest_length(variant)), LENGTHS.stop):
        task, last_steps = builder(t, variant), formula.last_steps(t)
        lasts = list(last_steps or [last_steps.start])
        expected = [[[last + 1, *steps] for steps in itertools.product(*formula.windows(t, last))] for last in lasts]
        assert list(task.places.lengths) == [last + 1 for last in lasts], t
        assert task.places.draw(extreme_words(len(lasts))).permute(1, 2, 0).tolist() == expected, t
        assert task.places.cues == (() if formula.before_end is None else (0, -1 - formula.before_end))
        assert task.num_steps == lasts[-1] + 1


@pytest.mark.parametrize("builder", [Adding, Multiplication])
def test_operands_and_cues_of_hs97(builder):
    """I is one of the first ten steps, J one of the first T/2 - 1 others; the first and the last step show cues."""
    for t in range(builder.smallest_length("hs97"), LENGTHS.stop):
        places = builder(t, "hs97").places
        assert list(places.lengths) == [last + 1 for last in to_eleven_tenths(t)], t
        first_and_last = []
        for first in (0, 9):
            unmarked = [step for step in range(t) if step != first][: t // 2 - 1]
            first_and_last += [[first, unmarked[0]], [first, unmarked[-1]]]
        assert places.draw(extreme_words(1))[1:, 0].t().tolist() == first_and_last, t
        assert places.cues == (0, -1)


@pytest.mark.parametrize(("variant", "num_symbols"), SYMBOLS)
def test_symbols_and_triggers_are_where_the_publication_has_them(variant, num_symbols):
    formula = SYMBOLS[variant, num_symbols]
    for t in LENGTHS:
        task = TemporalOrder(t, variant, num_symbols)
        arrangement = task.arrangement
        lasts = formula.last_steps(t)
        assert [length - 1 for length in arrangement.lengths] == list(lasts), t
        assert [(window[0], window[-1]) for window in arrangement.windows] == list(formula.windows(t, lasts[0])), t
        assert arrangement.trigger == (None if formula.before_end is None else -1 - formula.before_end)
        assert task.num_steps == lasts[-1] + 1


@pytest.mark.parametrize("num_positions", [1, 5, 10])
def test_triggers_of_memorization_are_where_the_publication_has_them(num_positions):
    for t in range(2 * num_positions + 1, LENGTHS.stop):
        hf11 = Memorization(t, num_positions=num_positions)
        assert (hf11.num_steps, hf11.trigger_step) == (t, t - num_positions - 1)
        pascanu13 = Memorization(t, "pascanu13", num_positions=num_positions)
        assert (pascanu13.num_steps, pascanu13.trigger_step) == (t + 2 * num_positions, t + num_positions)
