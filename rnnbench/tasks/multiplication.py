"""The multiplication problem (Hochreiter and Schmidhuber 1997, section 5.5) in four variants."""

import math
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from rnnbench.tasks.marked_operands import MarkedOperands


class Multiplication(MarkedOperands):
    """Output the product x_I x_J of the two marked values, which are uniform in [0, 1) in every variant.

    A sequence is a miss if its absolute error is above 0.04; in pascanu13, as in the authors' code, if its squared
    error is above 0.04. hs97 is solved below 13 misses in 2000. See `MarkedOperands` for inputs and lengths.
    """

    variants: ClassVar[Mapping[str, int]] = {"hf11": 6, "thesis": 10, "pascanu13": 10, "hs97": 11}
    neutral_element = 1.0

    def __init__(self, sequence_length: int, variant: str = "hf11", centered: bool = False) -> None:
        """Build a variant at one length; see `MarkedOperands`."""
        super().__init__(sequence_length, variant, centered)
        if variant == "hs97":
            self.solved_error_rate = 13 / 2000

    def _formula(self) -> str:
        return "x_I x_J"

    @override
    def _mean_target(self) -> float:
        return (1 - self.lost_mark_rate) / 4 + self.lost_mark_rate / 2

    def _combine(self, first: Tensor, second: Tensor) -> Tensor:
        return first * second

    def _baseline(self) -> tuple[float, float]:
        """Loss and error rate of the mean, the best constant.

        A product of two values: P(x y <= z) = z - z ln z, E x y = 1/4, E (x y)^2 = 1/9. A single value: P(x <= z) = z,
        E x = 1/2, E x^2 = 1/3; it is the target only in hs97, when a mark is lost.
        """

        def at_most(product: float) -> float:
            two = product - product * math.log(product)
            return (1 - one) * two + one * product

        one = self.lost_mark_rate
        mean = self._mean_target()
        loss = (1 - one) / 9 + one / 3 - mean**2
        return loss, 1 - at_most(mean + self.tolerance) + at_most(mean - self.tolerance)
