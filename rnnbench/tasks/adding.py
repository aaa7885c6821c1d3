"""The adding problem (Hochreiter and Schmidhuber 1997, section 5.4) in six variants."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from rnnbench.tasks.marked_operands import MarkedOperands


class Adding(MarkedOperands):
    """Output the sum of the two marked values, scaled as the variant defines.

    Target: x_I + x_J (hf11, urnn16, cornn21); (x_I + x_J) / 2 (thesis, pascanu13); 1/2 + (x_I + x_J) / 4 with values in
    [-1, 1) (hs97). A sequence is a miss if its absolute error is above 0.04; in pascanu13, as in the authors' code, if
    its squared error is above 0.04. urnn16 and cornn21 define no criterion, so that of hf11 is used. See
    `MarkedOperands` for inputs and lengths.
    """

    variants: ClassVar[Mapping[str, int]] = {
        "hf11": 6,
        "thesis": 10,
        "pascanu13": 10,
        "urnn16": 2,
        "cornn21": 2,
        "hs97": 11,
    }
    neutral_element = 0.0

    def __init__(self, sequence_length: int, variant: str = "hf11", centered: bool = False) -> None:
        """Build a variant at one length; see `MarkedOperands`."""
        super().__init__(sequence_length, variant, centered)

    def _formula(self) -> str:
        if self.variant == "hs97":
            return "1/2 + (x_I + x_J) / 4"
        return "(x_I + x_J) / 2" if self._halved() else "x_I + x_J"

    def _signed(self) -> bool:
        """Whether values are uniform in [-1, 1)."""
        return self.variant == "hs97"

    @override
    def _describe_value(self) -> str:
        return "value in [-1, 1)" if self._signed() else super()._describe_value()

    @override
    def _draw_values(self, words: Tensor, out: Tensor) -> None:
        super()._draw_values(words, out)
        if self._signed():
            out.mul_(2).sub_(1)

    @override
    def _mean_value(self) -> float:
        return 0.0 if self._signed() else super()._mean_value()

    @override
    def _mean_target(self) -> float:
        return 0.5 if self._signed() or self._halved() else 1.0

    def _halved(self) -> bool:
        return self.variant in ("thesis", "pascanu13")

    def _combine(self, first: Tensor, second: Tensor) -> Tensor:
        total = first + second
        if self.variant == "hs97":
            return total / 4 + 0.5
        return total / 2 if self._halved() else total

    def _baseline(self) -> tuple[float, float]:
        """Loss and error rate of the mean, the best constant.

        The deviation of the sum of k = 1 or 2 values, uniform with half-width w, is uniform or triangular: its
        variance is k w^2 / 3, and it exceeds e in size with probability 1 - e / w for k = 1 and (1 - e / (2 w))^2 for
        k = 2. Only hs97 has k = 1, where a mark is lost.
        """
        half_width = 1.0 if self._signed() else 0.5
        scale = {"hs97": 0.25, "thesis": 0.5, "pascanu13": 0.5}.get(self.variant, 1.0)
        one = self.lost_mark_rate
        loss = scale**2 * half_width**2 / 3 * (2 * (1 - one) + one)
        deviation = self.tolerance / scale / half_width
        return loss, (1 - one) * (1 - deviation / 2) ** 2 + one * (1 - deviation)
