"""The random permutation problem (Martens and Sutskever 2011) in two variants.

Letters: R replicas, T steps, B sequences.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor
from typing_extensions import override

from rnnbench.tasks.answers import ANSWER_LOSS, wrong_classes
from rnnbench.tasks.base import Batch, Draw, Task
from rnnbench.tasks.description import Description
from rnnbench.tasks.one_hot import one_hot
from rnnbench.tasks.random_numbers import integers
from rnnbench.tasks.variants import check_variant, variants_of

NUM_SYMBOLS = 100
NUM_FIRST_SYMBOLS = 2  # symbols 0 and 1: shown at step 0 alone


class RandomPermutation(Task):
    """Say at the last step which of two symbols was shown at the first one, among steps of random other symbols.

    All T steps are one-hot over 100 symbols: 0 or 1 at step 0, then 2 to 99, independent and uniform (the name of the
    problem notwithstanding). A miss is a wrong last output. Variants:

    - hf11: there is a target at every step, under cross-entropy: the next step's symbol, which nobody can know, and at
      the last step the first symbol. The symbol of step 0 is (row + update) mod 2, so that it is balanced in a batch.
    - pascanu13: there is the last target alone; the symbol of step 0 is drawn.

    The loss of hf11 is a mean over T outputs, T - 1 of which cannot be better than ln 98: what is to be learned is
    ln 2 / T of it, and `answer_loss/eval` shows it alone.
    """

    variants: ClassVar[tuple[str, ...]] = variants_of("RandomPermutation")
    input_size = NUM_SYMBOLS
    output_size = NUM_SYMBOLS
    loss = "softmax_cross_entropy"
    evaluation_metrics = (ANSWER_LOSS,)

    def __init__(self, sequence_length: int, variant: str = "hf11") -> None:
        """Build a variant at one length.

        Args:
            sequence_length: Length T.
            variant: Whose definition.

        Raises:
            ValueError: There is no such variant, or T is below 2.
        """
        check_variant("RandomPermutation", variant, sequence_length)
        self.sequence_length = self.num_steps = sequence_length
        self.variant = variant
        self.every_step = variant == "hf11"
        self.num_outputs = sequence_length if self.every_step else 1
        unpredictable = (self.num_outputs - 1) * math.log(NUM_SYMBOLS - NUM_FIRST_SYMBOLS)
        self.baseline_loss = (unpredictable + math.log(NUM_FIRST_SYMBOLS)) / self.num_outputs
        self.baseline_error_rate = 1 - 1 / NUM_FIRST_SYMBOLS

    @property
    def description(self) -> Description:
        """The variant in words."""
        return Description(
            lengths=str(self.num_steps),
            inputs=f"one-hot, {NUM_SYMBOLS} symbols",
            places="symbol 0 or 1 at 0, others from 1 on",
            target="the next step's symbol; at the last step that of step 0" if self.every_step else "symbol of step 0",
            miss="arg max of the last output is not the symbol",
        )

    @override
    def draw(self, draw: Draw) -> Batch:
        """Draw some sequences, as `Task.draw` says."""
        words = draw.words(self.num_steps)
        shown = integers(words, NUM_FIRST_SYMBOLS, NUM_SYMBOLS)  # (T, R, B)
        if self.every_step:
            shown[0] = draw.balanced_classes(NUM_FIRST_SYMBOLS)
        else:
            shown[0] = integers(words[0], 0, NUM_FIRST_SYMBOLS)
        inputs = one_hot(shown, NUM_SYMBOLS, draw.dtype)
        lengths = draw.full_lengths(self.num_steps)
        if self.every_step:
            return Batch(inputs, lengths, None, shown.roll(-1, 0))
        return Batch(inputs, lengths, (lengths - 1).unsqueeze(0), shown[:1].clone())

    @override
    def misses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Which sequences end in a wrong symbol, (R, B)."""
        return wrong_classes(outputs[-1:], batch.targets[-1:])[0]

    @override
    def scores(self, outputs: Tensor, losses: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        """The loss of the last output."""
        return {ANSWER_LOSS.tag: losses[-1]}
