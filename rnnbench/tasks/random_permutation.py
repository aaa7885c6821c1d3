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
from rnnbench.tasks.placement import lags_of
from rnnbench.tasks.random_numbers import integers

NUM_SYMBOLS = 100
NUM_FIRST_SYMBOLS = 2  # symbols 0 and 1, shown only at step 0


class RandomPermutation(Task):
    """Output at the last step which of two symbols the first step showed; all other steps show random symbols.

    Inputs are one-hot over 100 symbols: 0 or 1 at step 0, then 2 to 99, drawn independently and uniformly (in spite of
    the problem's name, there is no permutation). A sequence is a miss if its last output is wrong. Variants:

    - hf11: every step has a target, with cross-entropy: the symbol of the next step, which is unpredictable, and at the
      last step the first symbol. The symbol of step 0 is (row + update) mod 2, so batches are balanced.
    - pascanu13: only the last step has a target; the symbol of step 0 is drawn.

    The loss of hf11 is the mean over T outputs. Of these, T - 1 cannot be predicted better than ln 98, so learning can
    lower the loss by ln 2 / T only; `answer_loss/eval` is the loss of the last output.
    """

    variants: ClassVar[Mapping[str, int]] = {"hf11": 2, "pascanu13": 2}
    input_size = NUM_SYMBOLS
    output_size = NUM_SYMBOLS
    loss = "softmax_cross_entropy"
    evaluation_metrics = (ANSWER_LOSS,)

    def __init__(self, sequence_length: int, variant: str = "hf11") -> None:
        """Build a variant at one length.

        Args:
            sequence_length: Length T.
            variant: Name of the variant.

        Raises:
            ValueError: There is no such variant, or T is below 2.
        """
        self.check_variant(variant, sequence_length)
        self.sequence_length = self.num_steps = sequence_length
        self.dependency = lags_of(range(1), sequence_length)
        self.variant = variant
        self.every_step = self.has_unpredictable_outputs = variant == "hf11"
        self.num_outputs = sequence_length if self.every_step else 1
        unpredictable = (self.num_outputs - 1) * math.log(NUM_SYMBOLS - NUM_FIRST_SYMBOLS)
        self.baseline_loss = (unpredictable + math.log(NUM_FIRST_SYMBOLS)) / self.num_outputs
        self.baseline_error_rate = 1 - 1 / NUM_FIRST_SYMBOLS

    @property
    def description(self) -> Description:
        """Description of the variant."""
        return Description(
            lengths=str(self.num_steps),
            inputs=f"one-hot, {NUM_SYMBOLS} symbols",
            places="symbol 0 or 1 at 0, symbols 2 to 99 from 1 on",
            target="symbol of the next step; at the last step that of step 0"
            if self.every_step
            else "symbol of step 0",
            miss="arg max of the last output is not the symbol of step 0",
        )

    @override
    def draw(self, draw: Draw) -> Batch:
        """See `Task.draw`."""
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
        """Which sequences have a wrong last output, (R, B)."""
        return wrong_classes(outputs[-1:], batch.targets[-1:])[0]

    @override
    def scores(self, outputs: Tensor, losses: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        """The loss of the last output."""
        return {ANSWER_LOSS.tag: losses[-1]}
