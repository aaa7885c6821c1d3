"""Base of the adding, multiplication and xor problems: a value and a marker at every step; two values are marked.

Letters: R replicas, T steps, B sequences; L is the length of one sequence, steps are 0-based.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from rnnbench.tasks.base import Batch, Draw, Task
from rnnbench.tasks.description import Description, describe_range
from rnnbench.tasks.placement import draw_from, fill_padding, hf11_lengths, lags_of, percent_range, scaled_windows
from rnnbench.tasks.random_numbers import integers, uniform

NUM_CHOICES = 3  # random words of a sequence before those of its values: length, first step, second step


@dataclass(frozen=True)
class Places:
    """Lengths and marked steps of a variant at one nominal length.

    Attributes:
        lengths: Possible lengths of a sequence.
        draw: Random words (3, R, B) -> length L and the two marked steps I and J, (3, R, B).
        steps: Description of the ranges of the two steps.
        marked: Steps that may be marked in the shortest sequence.
        cues: Steps whose marker is -1; negative ones count from the sequence's end.
        shared_length: Whether all sequences of a replica's batch have the same length.
        value_channel: Index of the input that holds the values, 0 or 1; the other holds the markers.
    """

    lengths: range
    draw: Callable[[Tensor], Tensor]
    steps: str
    marked: range
    cues: tuple[int, ...] = ()
    shared_length: bool = False
    value_channel: int = 0


def in_windows(lengths: range, windows: tuple[range, ...], cues: tuple[int, ...] = ()) -> Places:
    """Lengths from a range, and I and J from a window each, independently of the length."""
    first, second = (describe_range(window) for window in windows)
    marked = range(windows[0].start, windows[1].stop)
    steps = f"I in {first}, J in {second}"
    return Places(lengths, partial(draw_from, windows=(lengths, *windows)), steps, marked, cues)


def hf11_places(sequence_length: int, lengths: tuple[int, int], windows: Sequence[tuple[int, int]]) -> Places:
    """Lengths and marked steps of hf11, whose code has other bounds for each task.

    Args:
        sequence_length: Nominal length T.
        lengths: Bounds of the last step L - 1 in hundredths of T; the upper one is exclusive.
        windows: Bounds of I and of J in hundredths of T; the upper ones are exclusive.
    """
    drawn = hf11_lengths(sequence_length, *lengths)
    return in_windows(drawn, scaled_windows(sequence_length, windows), cues=(0, -4))


def _hf11(sequence_length: int) -> Places:
    return hf11_places(sequence_length, (100, 110), [(1, 10), (10, 50)])


def _urnn16(sequence_length: int) -> Places:
    return _halves(sequence_length, sequence_length // 2 * 2)


def _cornn21(sequence_length: int) -> Places:
    return _halves(sequence_length, sequence_length)


def _halves(sequence_length: int, stop: int) -> Places:
    half = sequence_length // 2
    return in_windows(range(sequence_length, sequence_length + 1), (range(half), range(half, stop)))


def _thesis(sequence_length: int) -> Places:
    lengths = percent_range(sequence_length, 100, 110, inclusive=True)
    steps = "I in 0..L/10 - 1, J in L/10..L/2 - 1"
    return Places(lengths, partial(_draw_thesis, lengths=lengths), steps, range(lengths[0] // 2))


def _draw_thesis(words: Tensor, lengths: range) -> Tensor:
    length = draw_from(words[:1], (lengths,))[0]
    return _after_a_tenth(words, length, length // 2)


def _pascanu13(sequence_length: int) -> Places:
    lengths = percent_range(sequence_length, 100, 110)
    steps = "I in 0..L/10 - 1, J in L/10..L/10 + 4L/10 - 1"
    marked = range(lengths[0] // 10 + 4 * lengths[0] // 10)
    draw = partial(_draw_pascanu13, lengths=lengths)
    return Places(lengths, draw, steps, marked, shared_length=True, value_channel=1)


def _draw_pascanu13(words: Tensor, lengths: range) -> Tensor:
    length = draw_from(words[:1], (lengths,))[0]
    return _after_a_tenth(words, length, length // 10 + 4 * length // 10)


def _after_a_tenth(words: Tensor, length: Tensor, stop: Tensor) -> Tensor:
    """Lengths, first steps in the first tenth of each sequence, second steps after that tenth and before `stop`."""
    tenth = length // 10
    return torch.stack((length, integers(words[1], 0, tenth), integers(words[2], tenth, stop)))


def _hs97(sequence_length: int) -> Places:
    lengths = percent_range(sequence_length, 100, 110, inclusive=True)
    num_candidates = sequence_length // 2 - 1
    draw = partial(_draw_hs97, windows=(lengths, range(10), range(num_candidates)))
    marked = range(max(10, num_candidates + 1))
    return Places(lengths, draw, f"I in 0..9, J in 0..{num_candidates} without I", marked, cues=(0, -1))


def _draw_hs97(words: Tensor, windows: tuple[range, ...]) -> Tensor:
    drawn = draw_from(words, windows)
    drawn[2] += drawn[2] >= drawn[1]  # the step of the first mark is no longer a candidate
    return drawn


PLACES: dict[str, Callable[[int], Places]] = {
    "hf11": _hf11,
    "thesis": _thesis,
    "pascanu13": _pascanu13,
    "urnn16": _urnn16,
    "cornn21": _cornn21,
    "hs97": _hs97,
}


class MarkedOperands(Task):
    """Two of many random values are marked; the target at the last step is a function of the two.

    Inputs are a value, uniform in [0, 1) unless the task defines another distribution, and a marker: 1 at the two
    operands, -1 at cues, else 0.

    Variants differ in the length L and in the steps I and J of the operands:

    - hf11: L - 1 in {100f .. 110f - 1}, I in {f .. 10f - 1}, J in {10f .. 50f - 1} with f = T / 100 and bounds rounded
      down; I is at least 1, no window is empty. Cues at step 0 and at step L - 4, three steps before the target.
    - thesis: L in {T .. 11T/10}, I in the first tenth of the sequence, J after that tenth in the first half. In the
      thesis the two windows share a step, which would mark a single operand; here they do not.
    - pascanu13: L in {T .. 11T/10 - 1} is the same for all sequences of a replica in an update. I is in the first tenth
      of the sequence, J in the 4L/10 steps after it; both are rounded down, so at some lengths the last step of the
      first half is left out. The marker is the first input.
    - urnn16, cornn21: L = T, I in the first half, J in the second. If T is odd, the second half is the longer one, and
      urnn16 leaves out its last step. Every batch is drawn afresh; urnn16 trained on 100,000 fixed sequences.
    - hs97: L in {T .. 11T/10}, I one of the first ten steps, J one of the first T/2 - 1 steps not yet marked; cues at
      the first and the last step. At step 0 the cue overwrites a mark; that operand is then replaced by the neutral
      element of the operation (0 for a sum, 1 for a product).
    """

    input_size = 2
    output_size = 1
    loss = "squared_error"
    neutral_element: float

    def __init__(self, sequence_length: int, variant: str = "hf11", centered: bool = False) -> None:
        """Build a variant at one length.

        Args:
            sequence_length: Nominal length T.
            variant: Name of the variant.
            centered: Whether the mean over all sequences and steps is subtracted from each input, and the mean over
                all sequences from the target, as Sutskever et al. (2013) do. An output bias of 0 is then at the mean
                of the targets.

        Raises:
            ValueError: There is no such variant, or T is too small for it.
        """
        self.check_variant(variant, sequence_length)
        self.sequence_length = sequence_length
        self.variant = variant
        self.places = self._places()
        self.num_steps = self.places.lengths[-1]
        self.dependency = lags_of(self.places.marked, self.places.lengths[0])
        # In pascanu13 the criterion is squared error > 0.04.
        self.tolerance = 0.2 if variant == "pascanu13" else 0.04
        self.baseline_loss, self.baseline_error_rate = self._baseline()
        self.centered = centered

    def _places(self) -> Places:
        """Lengths and marked steps of the variant."""
        return PLACES[self.variant](self.sequence_length)

    @abstractmethod
    def _baseline(self) -> tuple[float, float]:
        """Loss and error rate of the best constant."""

    def _mean_target(self) -> float:
        """Mean of the targets before they are centered; only tasks that can be centered have one."""
        raise NotImplementedError

    def _mean_value(self) -> float:
        """Mean of a value."""
        return 0.5

    def _mean_marker(self) -> float:
        """Mean of the markers of all steps: the number of marks less that of the cues, by the mean length."""
        lengths = self.places.lengths
        return (2 - self.lost_mark_rate - len(self.places.cues)) / (sum(lengths) / len(lengths))

    @abstractmethod
    def _combine(self, first: Tensor, second: Tensor) -> Tensor:
        """Target of two operands; rounds at most once, so that float32 targets equal rounded float64 targets."""

    @abstractmethod
    def _formula(self) -> str:
        """The target as a formula of x_I and x_J."""

    def _describe_value(self) -> str:
        """Description of a value."""
        return "value in [0, 1)"

    def _describe_miss(self) -> str:
        """Description of a miss."""
        return "squared error > 0.04" if self.variant == "pascanu13" else "absolute error > 0.04"

    def _num_value_words(self) -> int:
        """Number of random words for the values of a sequence."""
        return self.num_steps

    def _draw_values(self, words: Tensor, out: Tensor) -> None:
        """Write the values (T, R, B) made of random words (num_words, R, B) into `out`."""
        uniform(words, out=out)

    @property
    def lost_mark_rate(self) -> float:
        """Probability that the cue at step 0 overwrites one of the two marks (it cannot overwrite both)."""
        return 0.1 + 0.9 / (self.sequence_length // 2 - 1) if self.variant == "hs97" else 0.0

    @property
    def description(self) -> Description:
        """Description of the variant."""
        places = self.places
        cues = "".join(f", cue at {f'L - {-cue}' if cue < 0 else cue}" for cue in places.cues)
        channels = [self._describe_value(), "marker"]
        return Description(
            lengths=describe_range(places.lengths) + (", the same in a batch" if places.shared_length else ""),
            inputs=", ".join(channels if places.value_channel == 0 else reversed(channels)),
            places=places.steps + cues,
            target=self._formula() + (f" - {self._mean_target():g}" if self.centered else ""),
            miss=self._describe_miss(),
        )

    def draw(self, draw: Draw) -> Batch:
        """See `Task.draw`."""
        places = self.places
        words = draw.words(NUM_CHOICES + self._num_value_words())
        if places.shared_length:
            words[0] = draw.shared_words(1)[0]
        drawn = places.draw(words[:NUM_CHOICES])
        lengths, steps = drawn[0], drawn[1:]  # (R, B), (2, R, B)

        inputs = torch.zeros((self.num_steps, *lengths.shape, 2), dtype=draw.dtype, device=words.device)
        values, markers = inputs[..., places.value_channel], inputs[..., 1 - places.value_channel]
        self._draw_values(words[NUM_CHOICES:], values)
        operands = values.gather(0, steps)
        markers.scatter_(0, steps, 1.0)
        for cue in places.cues:
            if cue >= 0:
                markers[cue] = -1.0
            else:
                markers.scatter_(0, (lengths + cue).unsqueeze(0), -1.0)
        if self.lost_mark_rate > 0:
            operands.masked_fill_(steps == 0, self.neutral_element)
        targets = self._combine(operands[0], operands[1])
        if self.centered:
            values -= self._mean_value()
            markers -= self._mean_marker()
            targets = targets - self._mean_target()
            fill_padding(markers, lengths, places.lengths[0], 0.0)
        fill_padding(values, lengths, places.lengths[0], 0.0)
        return Batch(inputs, lengths, (lengths - 1).unsqueeze(0), targets.view(1, *lengths.shape, 1))

    def misses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Which sequences have an error above the variant's tolerance, (R, B)."""
        errors = (outputs - batch.targets).abs()[0, :, :, 0]
        return ~(errors <= self.tolerance)  # so that NaN is a miss
