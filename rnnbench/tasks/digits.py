"""Handwritten digits, read pixel by pixel.

Letters: R replicas, T steps, B sequences.
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.tasks.answers import wrong_classes
from rnnbench.tasks.base import Batch, Draw, Stream, Task
from rnnbench.tasks.description import Description
from rnnbench.tasks.placement import lags_of
from rnnbench.tasks.random_numbers import integers, random_words

NUM_PIXELS, NUM_CLASSES = 64, 10
NUM_TEST_IMAGES = 500
"""The last images of the set. The 1000 sequences of an evaluation show each of them twice, the 10,000 of the
confirmation 20 times."""

HELD_OUT = (Stream.EVALUATION, Stream.CONFIRMATION)


class Images(NamedTuple):
    """Images and their classes.

    Attributes:
        pixels: (N, 64), float32, in [0, 1]: the rows of each image one after another.
        classes: (N,), int64.
    """

    pixels: Tensor
    classes: Tensor


@lru_cache(maxsize=8)
def images(*, held_out: bool, device: torch.device) -> Images:
    """The images for training, or the held-out ones: the last 500.

    Raises:
        ValueError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        message = "task=digits reads the images of scikit-learn: pip install 'rnnbench[digits]' installs it"
        raise ValueError(message) from None
    pixels, classes = load_digits(return_X_y=True)
    part = slice(-NUM_TEST_IMAGES, None) if held_out else slice(-NUM_TEST_IMAGES)
    scaled = torch.from_numpy(pixels[part]).float() / 16  # whole numbers from 0 to 16
    return Images(scaled.to(device), torch.from_numpy(classes[part]).long().to(device))


class Digits(Task):
    """Classify an image of 8 x 8 pixels that is shown one pixel at a time, at the first 64 of T steps.

    The images are the 1797 digits of scikit-learn (the test set of the UCI digits, Alpaydin and Kaynak 1998): the first
    1297 for training, each sequence showing one that is drawn with replacement; the last 500 for every evaluation. The
    inputs after the 64 pixels are 0; the answer is at the last step. A miss is a wrong class. Variants:

    - le15: the pixels row by row, as Le, Jaitly and Hinton (2015) show those of MNIST.
    - le15_permuted: in a fixed random order.
    """

    variants: ClassVar[Mapping[str, int]] = {"le15": NUM_PIXELS, "le15_permuted": NUM_PIXELS}
    input_size = 1
    output_size = NUM_CLASSES
    loss = "softmax_cross_entropy"
    solved_error_rate = 0.1

    def __init__(self, sequence_length: int, variant: str = "le15") -> None:
        """Build a variant at one length.

        Args:
            sequence_length: T.
            variant: Name of the variant.

        Raises:
            ValueError: There is no such variant, T is below 64, or scikit-learn is not installed.
        """
        self.check_variant(variant, sequence_length)
        self.sequence_length = self.num_steps = sequence_length
        self.variant = variant
        self.dependency = lags_of(range(NUM_PIXELS), sequence_length)
        counts = images(held_out=True, device=torch.device("cpu")).classes.bincount(minlength=NUM_CLASSES)
        shares = [count / NUM_TEST_IMAGES for count in counts.tolist()]
        self.baseline_loss = -sum(share * math.log(share) for share in shares)
        self.baseline_error_rate = 1 - max(shares)

    @property
    def description(self) -> Description:
        """Description of the variant."""
        order = "in a fixed random order" if self.variant == "le15_permuted" else "row by row"
        return Description(
            lengths=str(self.num_steps),
            inputs="pixel in [0, 1]",
            places=f"pixels at 0..{NUM_PIXELS - 1}, {order}",
            target="class of the image",
            miss="arg max is not the class",
        )

    @override
    def draw(self, draw: Draw) -> Batch:
        """See `Task.draw`."""
        device = torch.device(draw.device)
        shown = images(held_out=draw.stream in HELD_OUT, device=device)
        if draw.stream in HELD_OUT:
            rows = torch.arange(draw.first_row, draw.first_row + draw.batch_size, device=device)
            index = (rows % NUM_TEST_IMAGES).expand(len(draw.seeds), draw.batch_size)  # (R, B)
        else:
            index = integers(draw.words(1), 0, len(shown.classes))[0]
        pixels = shown.pixels[index].movedim(-1, 0)  # (64, R, B)
        if self.variant == "le15_permuted":
            pixels = pixels[pixel_order().to(device)]
        inputs = torch.zeros((self.num_steps, *index.shape, 1), dtype=draw.dtype, device=device)
        inputs[:NUM_PIXELS, ..., 0] = pixels
        lengths = draw.full_lengths(self.num_steps)
        return Batch(inputs, lengths, (lengths - 1).unsqueeze(0), shown.classes[index].unsqueeze(0))

    @override
    def misses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Which sequences are misclassified, (R, B)."""
        return wrong_classes(outputs, batch.targets)[0]


def pixel_order() -> Tensor:
    """Order in which le15_permuted shows the pixels, (64,), int64: the same for all runs."""
    return random_words([0], Stream.GRADIENT, 0, NUM_PIXELS, 1)[:, 0, 0].argsort(stable=True)
