"""Memorization of one bit: noiseless as in `Memorization`, or followed by noise (Boulanger-Lewandowski 2013).

Letters: R replicas, T steps, B sequences.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from rnnbench.tasks.answers import ANSWER_LOSS, EXACT_SEQUENCE_RATE, WRONG_SYMBOLS, wrong_signs
from rnnbench.tasks.base import Batch, Draw
from rnnbench.tasks.description import Description
from rnnbench.tasks.memorization import Memorization
from rnnbench.tasks.placement import lags_of


class OneBit(Memorization):
    """Output at the last step which of two symbols the first step showed.

    Variants: those of `Memorization`, for two symbols at one position, and

    - boulanger13: every input is a random bit, 0 or 1; the target is the first bit, the other T - 1 are noise. There is
      one logistic output, at the last step, with cross-entropy, so the model's output is the logit; a miss has the
      wrong sign. There is no blank and no trigger.
    """

    variants: ClassVar[Mapping[str, int]] = {"hf11": 3, "hf11_answers": 3, "pascanu13": 1, "boulanger13": 2}
    steps_per_unit: ClassVar[Mapping[str, int]] = {}  # there is one position, which the smallest lengths include

    def __init__(self, sequence_length: int, variant: str = "hf11") -> None:
        """Build a variant at one length; see `Memorization`."""
        if variant != "boulanger13":
            super().__init__(sequence_length, variant, num_symbols=2, num_positions=1)
            return
        self.check_variant(variant, sequence_length)
        self.sequence_length = self.num_steps = sequence_length
        self.dependency = lags_of(range(1), sequence_length)
        self.variant = variant
        self.input_size = self.output_size = self.num_outputs = 1
        self.loss = "sigmoid_cross_entropy"
        self.baseline_loss, self.baseline_error_rate = math.log(2), 0.5

    @property
    @override
    def description(self) -> Description:
        """Description of the variant."""
        if self.variant != "boulanger13":
            return super().description
        return Description(
            lengths=str(self.num_steps),
            inputs="bit",
            places="the bit to memorize at 0, noise bits from 1 on",
            target="the bit of step 0",
            miss="wrong sign",
        )

    @override
    def draw(self, draw: Draw) -> Batch:
        """See `Task.draw`."""
        if self.variant != "boulanger13":
            return super().draw(draw)
        bits = draw.words(self.num_steps) < 0  # (T, R, B): the highest of 32 random bits
        inputs = bits.to(draw.dtype).unsqueeze(-1)
        lengths = draw.full_lengths(self.num_steps)
        return Batch(inputs, lengths, (lengths - 1).unsqueeze(0), inputs[:1].clone())

    @override
    def misses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Which sequences have a wrong output, (R, B)."""
        if self.variant != "boulanger13":
            return super().misses(outputs, batch)
        return wrong_signs(outputs, batch.targets)[0]

    @override
    def scores(self, outputs: Tensor, losses: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        """See `Memorization.scores`."""
        if self.variant != "boulanger13":
            return super().scores(outputs, losses, batch)
        wrong = self.misses(outputs, batch)
        return {ANSWER_LOSS.tag: losses[-1], WRONG_SYMBOLS.tag: wrong, EXACT_SEQUENCE_RATE.tag: ~wrong}
