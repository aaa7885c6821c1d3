"""Lengths of sequences and positions of their relevant steps.

Letters: R replicas, T steps, B sequences, W windows; L is the length of one sequence.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from rnnbench.tasks.random_numbers import integers


def percent_range(sequence_length: int, low: int, high: int, *, inclusive: bool = False) -> range:
    """The range from low to high hundredths of a length, both bounds rounded down.

    Args:
        sequence_length: Nominal length T.
        low: Lower bound in hundredths of T.
        high: Upper bound in hundredths of T.
        inclusive: Whether the upper bound belongs to the range.
    """
    return range(low * sequence_length // 100, high * sequence_length // 100 + inclusive)


def scaled_windows(
    sequence_length: int, percents: Sequence[tuple[int, int]], *, inclusive: bool = False
) -> tuple[range, ...]:
    """Windows that scale with the sequence length: in order, disjoint, not empty, without step 0.

    If rounding would make two windows overlap or one empty, the later window starts after the earlier one and has at
    least one step.

    Args:
        sequence_length: Nominal length T.
        percents: Bounds of each window in hundredths of T, in ascending order.
        inclusive: Whether the upper bound belongs to the window.
    """
    windows: list[range] = []
    start = 1
    for low, high in percents:
        window = percent_range(sequence_length, low, high, inclusive=inclusive)
        start = max(window.start, start)
        windows.append(range(start, max(window.stop, start + 1)))
        start = windows[-1].stop
    return tuple(windows)


def hf11_lengths(sequence_length: int, low: int, high: int) -> range:
    """Possible lengths of hf11's sequences: its code draws the index of the last step, so lengths are one larger.

    Args:
        sequence_length: Nominal length T.
        low: Lower bound of the index in hundredths of T.
        high: Upper bound in hundredths of T, exclusive; the index has at least one value.
    """
    last = percent_range(sequence_length, low, high)
    return range(last.start + 1, max(last.stop, last.start + 1) + 1)


def lags_of(steps: range, shortest: int) -> range:
    """Lags of a range of steps (0-based) in a sequence, counted back from its last step.

    Args:
        steps: The steps.
        shortest: Number of steps of the sequence, more than the last of them.
    """
    return range(shortest - 1 - steps[-1], shortest - steps[0])


def draw_from(words: Tensor, windows: tuple[range, ...]) -> Tensor:
    """Draw one number from each window for every sequence, uniformly.

    Args:
        words: (W, R, B), int32 random words.
        windows: W ranges of step 1.

    Returns:
        (W, R, B), int64.
    """
    return integers(words, *_bounds(windows, words.device))


@lru_cache(maxsize=64)
def _bounds(windows: tuple[range, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Starts and stops, each (W, 1, 1): cached on the device, as all batches of a run use the same bounds."""
    bounds = torch.tensor([(window.start, window.stop) for window in windows], device=device)
    low, high = bounds.view(-1, 2, 1, 1).unbind(1)
    return low, high


def fill_padding(inputs: Tensor, lengths: Tensor, shortest: int, value: float) -> None:
    """Set the entries after each sequence's last step to a value, in place.

    Args:
        inputs: (T, R, B), one number or symbol per step.
        lengths: (R, B), int64.
        shortest: Lower bound of the lengths; earlier steps are not touched.
        value: New value of the entries.
    """
    steps = torch.arange(shortest, inputs.shape[0], device=inputs.device).view(-1, 1, 1)
    inputs[shortest:].masked_fill_(steps >= lengths, value)
