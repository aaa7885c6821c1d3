"""Noiseless memorization (Martens and Sutskever 2011) in three variants.

Letters: R replicas, T steps, B sequences, S outputs of a sequence, n different symbols, p positions.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.tasks.answers import ANSWER_LOSS, EXACT_SEQUENCE_RATE, WRONG_SYMBOLS, wrong_classes
from rnnbench.tasks.base import Batch, Draw, Task
from rnnbench.tasks.description import Description, describe_range
from rnnbench.tasks.one_hot import one_hot
from rnnbench.tasks.placement import lags_of
from rnnbench.tasks.random_numbers import integers

BLANKS_ONLY = ("pascanu13", "urnn16")
"""Variants whose T does not count the steps that show the symbols and those of the answers."""

MAX_BALANCED_PATTERNS = 1000
"""Largest number of patterns for which batches are balanced: the batch size of the publication."""


class Memorization(Task):
    """Repeat at the last p steps the symbols of the first p steps, each one of n; blanks lie between.

    Inputs are one-hot over the n symbols, a blank (n) and a trigger (n + 1), which is shown once: at the step before
    the answers, or at the first of them. Output classes are the n symbols and the blank, the target at every step
    before the answers. A sequence is a miss if any output is wrong. Variants:

    - hf11: T steps in total, the trigger at step T - p - 1, a target at every step.
    - hf11_answers: the same inputs, but targets only at the p answers; a separate problem in the code of hf11.
    - pascanu13: T blanks between the last symbol and the trigger, which is shown at the step of the first answer: T +
      2p steps in total, a target at every step.

    If there are n^p <= 1000 patterns, row k of update u shows pattern (k + u) mod n^p for every seed. So a batch
    contains every pattern equally often if its size is a multiple of n^p, and so do any n^p consecutive updates of any
    batch size. Otherwise symbols are drawn independently and uniformly.
    """

    variants: ClassVar[Mapping[str, int]] = {"hf11": 1, "hf11_answers": 1, "pascanu13": 1}
    steps_per_unit: ClassVar[Mapping[str, int]] = {"hf11": 2, "hf11_answers": 2}
    loss = "softmax_cross_entropy"
    evaluation_metrics = (ANSWER_LOSS, WRONG_SYMBOLS, EXACT_SEQUENCE_RATE)

    def __init__(
        self, sequence_length: int, variant: str = "hf11", num_symbols: int = 2, num_positions: int = 5
    ) -> None:
        """Build a variant at one length.

        Args:
            sequence_length: Length T.
            variant: Name of the variant.
            num_symbols: n.
            num_positions: p.

        Raises:
            ValueError: There is no such variant, T is too small for it, n is below 2 or p below 1.
        """
        if num_symbols < 2:
            raise ValueError(f"task.num_symbols must be at least 2, got {num_symbols}")
        if num_positions < 1:
            raise ValueError(f"task.num_positions must be at least 1, got {num_positions}")
        self.check_variant(variant, sequence_length, num_positions)
        self.sequence_length, self.variant = sequence_length, variant
        self.num_symbols, self.num_positions = num_symbols, num_positions
        self.num_steps = sequence_length + 2 * num_positions * (variant in BLANKS_ONLY)
        self.trigger_step = self.num_steps - num_positions - (variant != "pascanu13")
        self.dependency = lags_of(range(num_positions), self.num_steps)
        self.input_size, self.output_size = num_symbols + 2, num_symbols + 1
        self.num_outputs = num_positions if variant == "hf11_answers" else self.num_steps
        self.num_patterns = num_symbols**num_positions
        # A predictor that knows the step has no loss at the blanks.
        self.baseline_loss = num_positions * math.log(num_symbols) / self.num_outputs
        self.baseline_error_rate = 1 - 1 / self.num_patterns

    @property
    def description(self) -> Description:
        """Description of the variant."""
        last, first = self.num_positions - 1, self.num_steps - self.num_positions
        symbols = "symbol" if self.num_positions == 1 else "symbols"
        repeat = f"{symbols} of {describe_range(range(last + 1))} at {describe_range(range(first, self.num_steps))}"
        answers_only = self.variant == "hf11_answers"
        return Description(
            lengths=str(self.num_steps),
            inputs=f"one-hot, {self.num_symbols} symbols, blank, trigger",
            places=f"{symbols} at {describe_range(range(last + 1))}, trigger at {self.trigger_step}, else blank",
            target=repeat if answers_only else f"{repeat}, else blank",
            miss="arg max is not the symbol at any of them"
            if answers_only
            else "arg max is not the target at any step",
        )

    @override
    def draw(self, draw: Draw) -> Batch:
        """See `Task.draw`."""
        words = draw.words(self.num_positions)
        if self.num_patterns <= MAX_BALANCED_PATTERNS:
            patterns = draw.balanced_classes(self.num_patterns)
            symbols = torch.stack([patterns // self.num_symbols**k % self.num_symbols for k in range(len(words))])
        else:
            symbols = integers(words, 0, self.num_symbols)  # (p, R, B)

        blank, trigger = self.num_symbols, self.num_symbols + 1
        shown = torch.full((self.num_steps, *symbols.shape[1:]), blank, device=words.device)
        shown[: self.num_positions] = symbols
        shown[self.trigger_step] = trigger
        inputs = one_hot(shown, self.input_size, draw.dtype)
        lengths = draw.full_lengths(self.num_steps)
        if self.variant == "hf11_answers":
            steps = torch.arange(self.num_steps - self.num_positions, self.num_steps, device=words.device)
            return Batch(inputs, lengths, steps.view(-1, 1, 1).expand_as(symbols), symbols)
        targets = torch.full_like(shown, blank)
        targets[-self.num_positions :] = symbols
        return Batch(inputs, lengths, None, targets)

    @override
    def misses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Which sequences have a wrong output, (R, B)."""
        return wrong_classes(outputs, batch.targets).any(0)

    @override
    def scores(self, outputs: Tensor, losses: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        """Mean loss of the answers, number of wrong answers, and whether all are correct; (R, B) each."""
        answers = slice(-self.num_positions, None)
        wrong = wrong_classes(outputs[answers], batch.targets[answers])
        return {
            ANSWER_LOSS.tag: losses[answers].mean(0),
            WRONG_SYMBOLS.tag: wrong.sum(0),
            EXACT_SEQUENCE_RATE.tag: ~wrong.any(0),
        }
