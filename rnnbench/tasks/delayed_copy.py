"""Random bits that are to be repeated after a delay (Engelken 2023).

Letters: R replicas, T steps, B sequences, d delay.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.tasks.answers import WRONG_OUTPUTS, wrong_signs
from rnnbench.tasks.base import Batch, Draw, Task
from rnnbench.tasks.description import Description, describe_range
from rnnbench.tasks.random_numbers import bit_fields, num_field_words


class DelayedCopy(Task):
    """Output at every step t >= d the bit that step t - d showed.

    Variant engelken23: the input is a random bit, 0 or 1, at each of T steps. The output is a logit, with
    cross-entropy; there is one at every step whose answer was shown, the mean of their losses is the loss. A sequence
    is a miss if any output has the wrong sign; `wrong_outputs/eval` is 1 - accuracy of the publication.
    """

    variants: ClassVar[Mapping[str, int]] = {"engelken23": 1}
    length_key: ClassVar[str] = "delay"
    steps_per_unit: ClassVar[Mapping[str, int]] = {"engelken23": 1}
    num_operands: ClassVar[int] = 1
    formula: ClassVar[str] = "bit of step t - d"
    input_size = output_size = 1
    loss = "sigmoid_cross_entropy"
    baseline_loss = math.log(2)
    evaluation_metrics = (WRONG_OUTPUTS,)

    def __init__(self, sequence_length: int, variant: str = "engelken23", delay: int = 10) -> None:
        """Build the task at one length.

        Args:
            sequence_length: T.
            variant: engelken23.
            delay: d.

        Raises:
            ValueError: There is no such variant, d is below 1, or T is too small for it.
        """
        if delay < 1:
            raise ValueError(f"task.delay must be at least 1, got {delay}")
        self.check_variant(variant, sequence_length, delay)
        self.sequence_length = self.num_steps = sequence_length
        self.variant, self.delay = variant, delay
        self.lags = [delay * (k + 1) for k in range(self.num_operands)]
        self.dependency = range(self.lags[0], self.lags[-1] + 1)
        self.num_outputs = sequence_length - self.lags[-1]
        self.baseline_error_rate = 1 - 0.5**self.num_outputs

    @property
    def description(self) -> Description:
        """Description of the variant."""
        answered = range(self.lags[-1], self.num_steps)
        return Description(
            lengths=str(self.num_steps),
            inputs="bit",
            places=f"answers at {describe_range(answered)}",
            target=f"{self.formula} at every step t of these, d = {self.delay}",
            miss="wrong sign at any of them",
        )

    @override
    def draw(self, draw: Draw) -> Batch:
        """See `Task.draw`."""
        bits = bit_fields(draw.words(num_field_words(self.num_steps, 1)), 1, self.num_steps)  # (T, R, B)
        first = self.lags[-1]
        operands = [bits[first - lag : self.num_steps - lag] for lag in self.lags]
        targets = torch.stack(operands).sum(0) % 2
        steps = torch.arange(first, self.num_steps, device=bits.device).view(-1, 1, 1).expand_as(targets)
        inputs, targets = (values.unsqueeze(-1).to(draw.dtype) for values in (bits, targets))
        return Batch(inputs, draw.full_lengths(self.num_steps), steps, targets)

    @override
    def misses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Which sequences have an output of the wrong sign, (R, B)."""
        return wrong_signs(outputs, batch.targets).any(0)

    @override
    def scores(self, outputs: Tensor, losses: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        """The share of wrong outputs."""
        return {WRONG_OUTPUTS.tag: wrong_signs(outputs, batch.targets).double().mean(0)}
