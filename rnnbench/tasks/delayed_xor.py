"""The exclusive or of two random bits, each after a delay of its own (Engelken 2023)."""

from collections.abc import Mapping
from typing import ClassVar

from rnnbench.tasks.delayed_copy import DelayedCopy


class DelayedXor(DelayedCopy):
    """Output at every step t >= 2d the exclusive or of the bits of steps t - d and t - 2d; see `DelayedCopy`."""

    steps_per_unit: ClassVar[Mapping[str, int]] = {"engelken23": 2}
    num_operands: ClassVar[int] = 2
    formula: ClassVar[str] = "exclusive or of the bits of steps t - d and t - 2d"

    def __init__(self, sequence_length: int, variant: str = "engelken23", delay: int = 10) -> None:
        """Build the task at one length; see `DelayedCopy`."""
        super().__init__(sequence_length, variant, delay)
