"""The copying problem (Arjovsky, Shah and Bengio 2016): memorization of ten symbols of eight kinds."""

from collections.abc import Mapping
from typing import ClassVar

from rnnbench.tasks.memorization import Memorization


class CopyMemory(Memorization):
    """Repeat at the last p steps the symbols of the first p steps, each one of n; see `Memorization`.

    Variant urnn16: T - 1 blanks lie between the last symbol and the trigger, which is shown at the step before the
    answers, so there are T + 2p steps; every step has a target.
    """

    variants: ClassVar[Mapping[str, int]] = {"urnn16": 1}
    steps_per_unit: ClassVar[Mapping[str, int]] = {}

    def __init__(
        self, sequence_length: int, variant: str = "urnn16", num_symbols: int = 8, num_positions: int = 10
    ) -> None:
        """Build the task at one length; see `Memorization`."""
        super().__init__(sequence_length, variant, num_symbols, num_positions)
