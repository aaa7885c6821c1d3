"""Lengths of sequences and the steps that matter in them.

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
        low: Hundredths of T at which it starts.
        high: Hundredths of T before which it ends.
        inclusive: Whether it has the upper bound too.
    """
    return range(low * sequence_length // 100, high * sequence_length // 100 + inclusive)


def scaled_windows(
    sequence_length: int, percents: Sequence[tuple[int, int]], *, inclusive: bool = False
) -> tuple[range, ...]:
    """Windows that keep their fractions of the sequence at any length: in order, disjoint, none empty, none at step 0.

    Where rounding would make two windows overlap or one empty, the later one starts after the earlier one and has one
    step at least.

    Args:
        sequence_length: Nominal length T.
        percents: Bounds of each window in hundredths of T, in ascending order.
        inclusive: Whether a window has its upper bound too.
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
    """Numbers of steps of hf11's sequences: its code draws the index of the last one, so there is one step more.

    Args:
        sequence_length: Nominal length T.
        low: Hundredths of T at which the index starts.
        high: Hundredths of T before which it ends; it has one value at least.
    """
    last = percent_range(sequence_length, low, high)
    return range(last.start + 1, max(last.stop, last.start + 1) + 1)


def draw_from(words: Tensor, windows: tuple[range, ...]) -> Tensor:
    """One number of each window for every sequence, uniform.

    Args:
        words: (W, R, B), int32 random words.
        windows: W ranges of step 1.

    Returns:
        (W, R, B), int64.
    """
    return integers(words, *_bounds(windows, words.device))


@lru_cache(maxsize=64)
def _bounds(windows: tuple[range, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Starts and stops, each (W, 1, 1): kept on the device, as every batch of a run has the same ones."""
    bounds = torch.tensor([(window.start, window.stop) for window in windows], device=device)
    low, high = bounds.view(-1, 2, 1, 1).unbind(1)
    return low, high


def fill_padding(inputs: Tensor, lengths: Tensor, shortest: int, value: float) -> None:
    """Set what lies at and beyond each sequence's own end, in place.

    Args:
        inputs: (T, R, B), one number or symbol a step.
        lengths: (R, B), int64.
        shortest: No length is smaller, so steps before it are left alone.
        value: What they become.
    """
    steps = torch.arange(shortest, inputs.shape[0], device=inputs.device).view(-1, 1, 1)
    inputs[shortest:].masked_fill_(steps >= lengths, value)
