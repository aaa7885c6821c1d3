"""The xor problem (Martens and Sutskever 2011) in three variants."""

import math
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from rnnbench.tasks.base import Batch
from rnnbench.tasks.marked_operands import MarkedOperands, Places, hf11_places, in_windows
from rnnbench.tasks.random_numbers import bit_fields, num_field_words


class Xor(MarkedOperands):
    """Output the exclusive or of the two marked bits; neither bit alone carries information about the target.

    Values are bits, each 0 or 1 with probability 1/2. Variants:

    - hf11: one logistic output with cross-entropy, so the model's output is the logit; a miss has the wrong sign. Its
      sequences are half as long as those of the other tasks: L - 1 in {50f .. 55f - 1}, I in {f .. 10f - 1}, J in
      {15f .. 25f - 1} with f = T / 100 and bounds rounded down; I is at least 1, windows are disjoint and not empty.
    - thesis: a linear output with squared error; a miss lies on the wrong side of 1/2. L, I and J as in adding.
    - psgd22: L = T, I in {0 .. T/10 - 1}, J in {T/10 .. T/2 - 1} with T/10 rounded down and at least 1. Bits are shown
      as -1 and 1; the output is as in hf11.

    See `MarkedOperands` for the rest.
    """

    variants: ClassVar[Mapping[str, int]] = {"hf11": 12, "thesis": 10, "psgd22": 4}
    neutral_element = 0.0

    def __init__(self, sequence_length: int, variant: str = "hf11") -> None:
        """Build a variant at one length; see `MarkedOperands`."""
        super().__init__(sequence_length, variant)
        if self._logistic():
            self.loss = "sigmoid_cross_entropy"

    def _logistic(self) -> bool:
        return self.variant != "thesis"

    @override
    def _places(self) -> Places:
        if self.variant == "hf11":
            return hf11_places(self.sequence_length, (50, 55), [(1, 10), (15, 25)])
        if self.variant == "psgd22":
            steps, first = self.sequence_length, max(1, self.sequence_length // 10)
            return in_windows(range(steps, steps + 1), (range(first), range(first, steps // 2)))
        return super()._places()

    @override
    def _formula(self) -> str:
        return "x_I xor x_J"

    @override
    def _describe_value(self) -> str:
        return "bit as -1 or 1" if self.variant == "psgd22" else "bit"

    @override
    def _describe_miss(self) -> str:
        return "wrong sign" if self._logistic() else "wrong side of 1/2"

    @override
    def _num_value_words(self) -> int:
        return num_field_words(self.num_steps, 1)

    @override
    def _draw_values(self, words: Tensor, out: Tensor) -> None:
        out.copy_(bit_fields(words, 1, self.num_steps))
        if self.variant == "psgd22":
            out.mul_(2).sub_(1)

    @override
    def _combine(self, first: Tensor, second: Tensor) -> Tensor:
        return (first != second).to(first.dtype)

    @override
    def _baseline(self) -> tuple[float, float]:
        """Loss and error rate of the best constant: probability 1/2, or the mean 1/2."""
        return (math.log(2) if self._logistic() else 0.25), 0.5

    @override
    def misses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Which sequences are on the wrong side, (R, B)."""
        threshold = 0.0 if self._logistic() else 0.5
        wrong = ((outputs > threshold) != (batch.targets > 0.5)) | outputs.isnan()
        return wrong[0, :, :, 0]
