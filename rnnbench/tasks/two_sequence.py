"""The 2-sequence problem: one of two classes, shown at the first steps, on the same input as noise.

Letters: R replicas, T steps, B sequences, N steps that show the class; L is the length of one sequence.
"""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.tasks.base import Batch, Draw, Task
from rnnbench.tasks.description import Description, describe_range
from rnnbench.tasks.normal_numbers import normal
from rnnbench.tasks.placement import draw_from, fill_padding, lags_of, percent_range

NOISE = math.sqrt(0.2)
"""Standard deviation of the noise: its variance is 0.2."""

TOLERANCE = 0.2
"""An output is wrong if its absolute error is at least this."""


class TwoSequence(Task):
    """Output at the last step which of two classes the first N steps showed; all later steps show noise.

    There is one input: 1 for the first class and -1 for the second at the first N steps, then independent
    N(0, 0.2). The target is 1 or 0, with squared error; the output is linear. Variants:

    - hs97: L in {T .. 11T/10}; solved below one miss in 256 (experiment 3a).
    - hs97_noise: the same, and the noise is added at the first N steps too; solved below 6 misses in 256 (3b). With
      N = 1 the sign of the first input is wrong in 1.3 % of the sequences.
    - bengio94: as hs97, with L in {T/2 .. T}.
    """

    variants: ClassVar[Mapping[str, int]] = {"hs97": 1, "hs97_noise": 1, "bengio94": 2}
    steps_per_unit: ClassVar[Mapping[str, int]] = {"hs97": 1, "hs97_noise": 1, "bengio94": 2}
    input_size = output_size = 1
    loss = "squared_error"
    baseline_loss = 0.25
    baseline_error_rate = 1.0  # the mean 1/2 is off by 1/2

    def __init__(self, sequence_length: int, variant: str = "hs97", num_positions: int = 3) -> None:
        """Build a variant at one length.

        Args:
            sequence_length: T.
            variant: Name of the variant.
            num_positions: N.

        Raises:
            ValueError: There is no such variant, N is below 1, or T is too small for it.
        """
        if num_positions < 1:
            raise ValueError(f"task.num_positions must be at least 1, got {num_positions}")
        self.check_variant(variant, sequence_length, num_positions)
        self.sequence_length, self.variant, self.num_positions = sequence_length, variant, num_positions
        if variant == "bengio94":
            self.lengths = range(sequence_length // 2, sequence_length + 1)
        else:
            self.lengths = percent_range(sequence_length, 100, 110, inclusive=True)
        self.is_noisy = variant == "hs97_noise"
        self.num_steps = self.lengths[-1]
        self.dependency = lags_of(range(num_positions), self.lengths[0])
        self.solved_error_rate = (6 if self.is_noisy else 1) / 256

    @property
    def description(self) -> Description:
        """Description of the variant."""
        shown, noise = describe_range(range(self.num_positions)), "noise of variance 0.2"
        noisy = f"class at {shown}, {noise} everywhere" if self.is_noisy else f"class at {shown}, then {noise}"
        return Description(
            lengths=describe_range(self.lengths),
            inputs="1 or -1 by the class, or noise",
            places=noisy,
            target="1 or 0, by the class",
            miss=f"absolute error >= {TOLERANCE}",
        )

    @override
    def draw(self, draw: Draw) -> Batch:
        """See `Task.draw`."""
        first = 0 if self.is_noisy else self.num_positions
        words = draw.words(2 + (self.num_steps - first + 1) // 2)  # class, length; two steps of noise share a word
        is_first, lengths = words[0] < 0, draw_from(words[1:2], (self.lengths,))[0]  # (R, B)
        # The sum is rounded to float32, so that the inputs do not depend on the type.
        values = torch.zeros((self.num_steps, *is_first.shape), device=words.device)
        normal(words[2:], NOISE, out=values[first:])
        values[: self.num_positions] += 2.0 * is_first - 1.0
        fill_padding(values, lengths, self.lengths[0], 0.0)
        targets = is_first.to(draw.dtype).view(1, *is_first.shape, 1)
        return Batch(values.unsqueeze(-1).to(draw.dtype), lengths, (lengths - 1).unsqueeze(0), targets)

    @override
    def misses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Which sequences have an error of at least the tolerance, (R, B)."""
        return ~((outputs - batch.targets).abs() < TOLERANCE)[0, :, :, 0]  # so that NaN is a miss
