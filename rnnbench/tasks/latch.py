"""Latching one bit among noise (Bengio, Simard and Frasconi 1994).

Letters: R replicas, T steps, B sequences, L steps that show the class, m noise inputs.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.tasks.base import Batch, Draw, Task
from rnnbench.tasks.description import Description, describe_range
from rnnbench.tasks.normal_numbers import normal
from rnnbench.tasks.placement import lags_of

TARGET = 0.8
"""Target of the first class; that of the second is its negative."""


class Latch(Task):
    """Output at the last step which of two classes the first L steps showed; the other T - L steps are noise.

    Variant bengio94: at step t < L, input t is 1 for the first class, input L + t for the second; the others are 0. So
    a unit's weights from these 2L inputs are the publication's trainable inputs, L scalars for each class. The last m
    inputs are 0 while the class is shown and independent N(0, noise^2) afterwards, drawn by `normal`; the model `latch`
    adds each of them to the input of one unit. The target is +0.8 or -0.8 at the last step, with squared error; a miss
    has the wrong sign.

    Args:
        sequence_length: T.
        variant: bengio94.
        num_positions: L.
        noise: Standard deviation of the noise; if the publication's s is taken as a variance, its square root.
        num_noise_inputs: m, one for each unit of the net.

    Raises:
        ValueError: The variant does not exist or is not defined at this length.
    """

    variants: ClassVar[Mapping[str, int]] = {"bengio94": 1}
    steps_per_unit: ClassVar[Mapping[str, int]] = {"bengio94": 1}
    loss = "squared_error"
    output_size = 1
    baseline_loss = TARGET**2
    baseline_error_rate = 0.5

    def __init__(
        self,
        sequence_length: int,
        variant: str = "bengio94",
        num_positions: int = 3,
        noise: float = 0.2,
        num_noise_inputs: int = 1,
    ) -> None:
        self.check_variant(variant, sequence_length, num_positions)
        self.sequence_length = self.num_steps = sequence_length
        self.dependency = lags_of(range(num_positions), sequence_length)
        self.variant, self.num_positions, self.noise = variant, num_positions, noise
        self.num_noise_inputs = num_noise_inputs
        self.input_size = 2 * num_positions + num_noise_inputs

    @property
    def description(self) -> Description:
        """Description of the variant."""
        shown, noisy = range(self.num_positions), range(self.num_positions, self.num_steps)
        return Description(
            lengths=str(self.num_steps),
            inputs=f"class and step, one of {2 * self.num_positions}; noise of standard deviation {self.noise:g}",
            places=f"the class at {describe_range(shown)}, noise at {describe_range(noisy)}",
            target=f"{TARGET:+g} or {-TARGET:+g}, by the class",
            miss="wrong sign",
        )

    @override
    def draw(self, draw: Draw) -> Batch:
        """See `Task.draw`."""
        count, noises = self.num_positions, self.num_noise_inputs
        num_pairs = (self.num_steps - count + 1) // 2  # pairs of noise steps; a pair shares a word
        words = draw.words(1 + num_pairs * noises)  # the class, then the noise
        is_first = words[0] < 0  # (R, B): the highest of 32 random bits
        inputs = torch.zeros((self.num_steps, *is_first.shape, self.input_size), dtype=draw.dtype, device=draw.device)
        for step in range(count):
            inputs[step, :, :, step] = is_first
            inputs[step, :, :, count + step] = ~is_first
        noise_words = words[1:].view(num_pairs, noises, *is_first.shape).permute(0, 2, 3, 1)  # (pairs, R, B, m)
        normal(noise_words, self.noise, out=inputs[count:, :, :, 2 * count :])
        targets = TARGET * (2 * is_first.to(draw.dtype) - 1).view(1, *is_first.shape, 1)
        lengths = draw.full_lengths(self.num_steps)
        return Batch(inputs, lengths, (lengths - 1).unsqueeze(0), targets)

    @override
    def misses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Which sequences have an output of the wrong sign, (R, B)."""
        return (((outputs > 0) != (batch.targets > 0)) | outputs.isnan())[0, :, :, 0]
