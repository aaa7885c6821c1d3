"""What a law is, how one fails, and the sizes at which laws are tried, in growing order."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

RELATIVE = 1e-12
"""Largest difference in float64 that counts as rounding, relative to the largest entry: a few hundred roundings."""

Subject = TypeVar("Subject")


class LawError(Exception):
    """A law does not hold; the message says what was computed and what was expected."""


class NotApplicableError(Exception):
    """A law says nothing about this class; the message says why."""


@dataclass(frozen=True)
class Size:
    """Size of a case.

    Attributes:
        replicas: R.
        sequences: Number of sequences B of each replica.
        steps: Number of steps T; None: the sequence length of the configuration.
        units: Number of hidden units n.
    """

    replicas: int
    sequences: int
    steps: int | None
    units: int

    def __str__(self) -> str:
        """The size as a message shows it."""
        steps = "T as configured" if self.steps is None else f"T={self.steps}"
        return f"R={self.replicas}, B={self.sequences}, {steps}, n={self.units}"


SIZES = (
    Size(1, 1, 1, 1),
    Size(1, 1, 2, 1),
    Size(1, 2, 2, 2),
    Size(2, 2, 3, 2),
    Size(2, 3, 6, 3),
    Size(3, 5, 12, 4),
    Size(3, 5, None, 4),
)
"""The sizes at which a law is tried, so that the first failure is the smallest."""


@dataclass(frozen=True)
class Law(Generic[Subject]):
    """A law of one kind of class.

    Attributes:
        statement: What holds, in a few words.
        meaning: What goes wrong in a run if it does not hold; one sentence.
        check: Raises `LawError` if the law does not hold for a subject at one size, and `NotApplicableError` if it says
            nothing about it.
        sizes: Sizes at which it is tried.
    """

    statement: str
    meaning: str
    check: Callable[[Subject], None]
    sizes: tuple[Size, ...] = SIZES


def relative_error(actual: Tensor, expected: Tensor, smallest: float) -> float:
    """Largest difference of two tensors, relative to the largest entry of the expected one; NaN equals NaN.

    Args:
        actual: Any shape.
        expected: The same shape.
        smallest: A smaller largest entry counts as this.
    """
    difference = torch.where(actual.isnan() & expected.isnan(), 0.0, (actual - expected).abs())
    return float((difference / expected.nan_to_num().abs().max().clamp(min=smallest)).max())


def assert_close(
    actual: Tensor,
    expected: Tensor,
    what: str = "the result",
    relative: float = RELATIVE,
    smallest: float = 1e-300,
) -> None:
    """Check that two tensors are equal up to rounding.

    Args:
        actual: Any shape.
        expected: The same shape.
        what: Name of the quantity, for the message.
        relative: Largest allowed difference, relative to the largest entry of `expected`; both may be zero.
        smallest: A smaller largest entry counts as this.

    Raises:
        LawError: They are not.
    """
    if actual.shape != expected.shape:
        raise LawError(f"{what} has shape {tuple(actual.shape)}, expected {tuple(expected.shape)}")
    if not expected.numel():
        return
    error = relative_error(actual, expected, smallest)
    if not error < relative:
        raise LawError(f"{what} differs by {error:.1e} of its largest entry, allowed {relative:.0e}")
