"""The temporal order problem (Hochreiter and Schmidhuber 1997, section 5.7), with two or three symbols to remember.

Letters: R replicas, T steps, B sequences, K symbols, C = 2^K classes; L is the length of one sequence, steps 0-based.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from rnnbench.tasks.answers import wrong_classes
from rnnbench.tasks.base import Batch, Draw, Task
from rnnbench.tasks.description import Description, describe_range
from rnnbench.tasks.one_hot import one_hot
from rnnbench.tasks.placement import draw_from, fill_padding, hf11_lengths, lags_of, percent_range, scaled_windows
from rnnbench.tasks.random_numbers import bit_fields, integers, num_field_words

DISTRACTOR_BITS = 2  # inputs 0 to 3
FIRST_SYMBOL = 4  # inputs 4 and 5 are X and Y
TRIGGER = 6
START = 7
OUTPUT_TOLERANCE = 0.3  # in hs97, for every output unit


@dataclass(frozen=True)
class Arrangement:
    """A variant at one sequence length.

    Attributes:
        lengths: Possible lengths of a sequence.
        windows: K ranges of steps, one per symbol.
        place_values: Amount that a Y in each of the K windows adds to the class.
        trigger: Step of the trigger, counted from the sequence's end (-1 is the last step); None: the variant has no
            trigger and no start symbol.
        balanced: Whether the classes of a batch are equally frequent by construction.
        one_hot_targets: Whether targets are one-hot vectors with squared error; otherwise classes with cross-entropy.
    """

    lengths: range
    windows: tuple[range, ...]
    place_values: tuple[int, ...]
    trigger: int | None = -1
    balanced: bool = False
    one_hot_targets: bool = False


def _hf11(sequence_length: int, num_symbols: int) -> Arrangement:
    percents = {2: [(1, 10), (40, 50)], 3: [(1, 10), (30, 40), (50, 60)]}[num_symbols]
    windows = scaled_windows(sequence_length, percents, inclusive=True)
    lengths = hf11_lengths(sequence_length, 100, 110)
    place_values, trigger = {2: ((2, 1), -2), 3: ((1, 2, 4), -1)}[num_symbols]
    return Arrangement(lengths, windows, place_values, trigger, balanced=True)


def _pascanu13(sequence_length: int, num_symbols: int) -> Arrangement:
    starts = [tenths * sequence_length // 10 for tenths in {2: (1, 5), 3: (1, 3, 6)}[num_symbols]]
    windows = tuple(range(start, start + sequence_length // 10) for start in starts)
    return Arrangement(range(sequence_length, sequence_length + 1), windows, (1, 2, 4)[:num_symbols], trigger=None)


def _hs97(sequence_length: int, num_symbols: int) -> Arrangement:
    percents = {2: [(10, 20), (50, 60)], 3: [(10, 20), (33, 43), (66, 76)]}[num_symbols]
    windows = scaled_windows(sequence_length, percents, inclusive=True)
    lengths = percent_range(sequence_length, 100, 110, inclusive=True)
    return Arrangement(lengths, windows, (4, 2, 1)[-num_symbols:], one_hot_targets=True)


ARRANGEMENTS = {"hf11": _hf11, "pascanu13": _pascanu13, "hs97": _hs97}


class TemporalOrder(Task):
    """Output at the last step which symbols, X or Y, K of the steps showed, in their order; the other steps distract.

    Inputs are one-hot: four distractors (uniform at every step that shows nothing else), X, Y, and in some variants a
    trigger near the end and a start symbol at step 0. Windows scale with f = T / 100, bounds rounded down:

    - hf11: L - 1 in {100f .. 110f - 1}; symbols in {f .. 10f}, {40f .. 50f}, or {f .. 10f}, {30f .. 40f}, {50f .. 60f},
      starting at step 1 or later, disjoint, not empty. With two symbols the trigger is at step L - 2, so the step
      of the answer shows a distractor; with three it is at step L - 1. The class of row k is (k + update) mod C. So a
      batch contains every class equally often if its size is a multiple of C, and so do any C consecutive updates of
      any batch size.
    - pascanu13: L = T, no trigger, no start symbol; symbols in the T/10 steps (rounded down) that start at 10f and 50f,
      or at 10f, 30f and 60f.
    - hs97: L in {100f .. 110f}; symbols in {10f .. 20f}, {50f .. 60f}, or {10f .. 20f}, {33f .. 43f}, {66f .. 76f}; the
      trigger at step L - 1; squared error to one-hot targets, a miss if any output is off by 0.3 or more. The
      publication has logistic outputs; here they are linear.
    """

    variants: ClassVar[Mapping[str, int]] = {"hf11": 4, "pascanu13": 10, "hs97": 10}

    def __init__(self, sequence_length: int, variant: str = "hf11", num_symbols: int = 2) -> None:
        """Build a variant at one length.

        Args:
            sequence_length: Nominal length T.
            variant: Name of the variant.
            num_symbols: K, 2 or 3.

        Raises:
            ValueError: There is no such variant, T is too small for it, or K is neither 2 nor 3.
        """
        self.check_variant(variant, sequence_length)
        if num_symbols not in (2, 3):
            raise ValueError(f"task.num_symbols must be 2 or 3, got {num_symbols}")
        self.sequence_length = sequence_length
        self.variant = variant
        self.num_symbols = num_symbols
        self.num_classes = 2**num_symbols
        self.arrangement = ARRANGEMENTS[variant](sequence_length, num_symbols)
        self.num_steps = self.arrangement.lengths[-1]
        windows, shortest = self.arrangement.windows, self.arrangement.lengths[0]
        self.dependency = lags_of(range(windows[0].start, windows[-1].stop), shortest)
        self.input_size = 6 if self.arrangement.trigger is None else 8
        self.output_size = self.num_classes
        if self.arrangement.one_hot_targets:
            # The mean is 1 / C at every unit; at the unit of the class its error is 1 - 1 / C, more than 0.3.
            self.loss, self.baseline_loss, self.baseline_error_rate = "squared_error", 1 - 1 / self.num_classes, 1.0
        else:
            self.loss, self.baseline_loss = "softmax_cross_entropy", math.log(self.num_classes)
            self.baseline_error_rate = 1 - 1 / self.num_classes

    @property
    def description(self) -> Description:
        """Description of the variant."""
        arrangement = self.arrangement
        names = "IJK"[: self.num_symbols]
        places = [f"{name} in {describe_range(w)}" for name, w in zip(names, arrangement.windows, strict=True)]
        terms = [
            f"{value} [Y at {name}]" if value > 1 else f"[Y at {name}]"
            for name, value in zip(names, arrangement.place_values, strict=True)
        ]
        frame = "" if arrangement.trigger is None else f", start at 0, trigger at L - {-arrangement.trigger}"
        one_hot = arrangement.one_hot_targets
        return Description(
            lengths=describe_range(arrangement.lengths),
            inputs=f"one-hot, {self.input_size} symbols",
            places=", ".join(places) + frame,
            target=" + ".join(terms) + (", one-hot" if one_hot else ""),
            miss="an output off by >= 0.3" if one_hot else "arg max is not the class",
        )

    def draw(self, draw: Draw) -> Batch:
        """See `Task.draw`."""
        arrangement = self.arrangement
        num_choices = self.num_symbols + 2  # length, steps, class
        words = draw.words(num_choices + num_field_words(self.num_steps, DISTRACTOR_BITS))
        drawn = draw_from(words[: num_choices - 1], (arrangement.lengths, *arrangement.windows))
        lengths, steps = drawn[0], drawn[1:]  # (R, B), (K, R, B)
        if arrangement.balanced:
            classes = draw.balanced_classes(self.num_classes)
        else:
            classes = integers(words[num_choices - 1], 0, self.num_classes)

        shown = bit_fields(words[num_choices:], DISTRACTOR_BITS, self.num_steps)  # (T, R, B)
        symbols = [FIRST_SYMBOL + (classes & value > 0) for value in arrangement.place_values]
        shown.scatter_(0, steps, torch.stack(symbols).int())
        if arrangement.trigger is not None:
            shown[0] = START
            shown.scatter_(0, (lengths + arrangement.trigger).unsqueeze(0), TRIGGER)
        fill_padding(shown, lengths, arrangement.lengths[0], self.input_size)
        inputs = one_hot(shown, self.input_size, draw.dtype)
        targets = classes.unsqueeze(0)
        if arrangement.one_hot_targets:
            targets = one_hot(targets, self.num_classes, draw.dtype)
        return Batch(inputs, lengths, (lengths - 1).unsqueeze(0), targets)

    def misses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Which sequences are misclassified, or in hs97 have an output outside the tolerance, (R, B)."""
        if self.arrangement.one_hot_targets:
            return ~((outputs - batch.targets).abs() < OUTPUT_TOLERANCE).all(-1)[0]  # so that NaN is a miss
        return wrong_classes(outputs, batch.targets)[0]
