"""The parity of random bits.

Letters: R replicas, T steps, B sequences; L is the length of one sequence.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from rnnbench.tasks.answers import WRONG_OUTPUTS, wrong_signs
from rnnbench.tasks.base import Batch, Draw, Task
from rnnbench.tasks.description import Description, describe_range
from rnnbench.tasks.one_hot import one_hot
from rnnbench.tasks.placement import draw_from, fill_padding, lags_of
from rnnbench.tasks.random_numbers import bit_fields, num_field_words


class Parity(Task):
    """Output whether the number of ones among random bits is odd; no part of the bits tells anything about it.

    The output is a logit, with cross-entropy; a miss has the wrong sign. Variants:

    - lightbench26: L = T bits, each shown as one of two symbols (one-hot); the answer is at the last step.
    - every_step: the same bits, with an answer at every step: the parity of the bits so far. A sequence is a miss if
      any answer is wrong. It is from no publication.
    - bengio94: L in {T/2 .. T}; a one is shown as 1, a zero as -1; the answer is at the last step. The publication has
      a squared error.
    """

    variants: ClassVar[Mapping[str, int]] = {"lightbench26": 1, "every_step": 1, "bengio94": 2}
    output_size = 1
    loss = "sigmoid_cross_entropy"
    baseline_loss = math.log(2)

    def __init__(self, sequence_length: int, variant: str = "lightbench26") -> None:
        """Build a variant at one length.

        Args:
            sequence_length: T.
            variant: Name of the variant.

        Raises:
            ValueError: There is no such variant, or T is too small for it.
        """
        self.check_variant(variant, sequence_length)
        self.sequence_length = self.num_steps = sequence_length
        self.variant = variant
        self.is_signed, self.every_step = variant == "bengio94", variant == "every_step"
        self.lengths = range(sequence_length // 2 if self.is_signed else sequence_length, sequence_length + 1)
        self.dependency = lags_of(range(self.lengths[0]), self.lengths[0])
        self.input_size = 1 if self.is_signed else 2
        self.num_outputs = sequence_length if self.every_step else 1
        self.baseline_error_rate = 1 - 0.5**self.num_outputs
        self.evaluation_metrics = (WRONG_OUTPUTS,) if self.every_step else ()

    @property
    def description(self) -> Description:
        """Description of the variant."""
        return Description(
            lengths=describe_range(self.lengths),
            inputs="bit, 1 or -1" if self.is_signed else "bit, one-hot",
            places="all",
            target="parity of the bits so far, at every step" if self.every_step else "parity of all bits",
            miss="wrong sign at any step" if self.every_step else "wrong sign",
        )

    @override
    def draw(self, draw: Draw) -> Batch:
        """See `Task.draw`."""
        words = draw.words(1 + num_field_words(self.num_steps, 1))
        lengths = draw_from(words[:1], (self.lengths,))[0]
        bits = bit_fields(words[1:], 1, self.num_steps)  # (T, R, B)
        if self.every_step:
            targets = bits.cumsum(0) % 2
        else:
            fill_padding(bits, lengths, self.lengths[0], 0)
            targets = bits.sum(0, keepdim=True) % 2
        if self.is_signed:
            signs = 2 * bits - 1
            fill_padding(signs, lengths, self.lengths[0], 0)
            inputs = signs.unsqueeze(-1).to(draw.dtype)
        else:
            inputs = one_hot(bits, 2, draw.dtype)
        steps = None if self.every_step else (lengths - 1).unsqueeze(0)
        return Batch(inputs, lengths, steps, targets.unsqueeze(-1).to(draw.dtype))

    @override
    def misses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Which sequences have an output of the wrong sign, (R, B)."""
        return wrong_signs(outputs, batch.targets).any(0)

    @override
    def scores(self, outputs: Tensor, losses: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        """The share of wrong answers, if there is one at every step."""
        if not self.every_step:
            return {}
        return {WRONG_OUTPUTS.tag: wrong_signs(outputs, batch.targets).double().mean(0)}
