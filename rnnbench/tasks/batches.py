"""Batches for all replicas of a run, and the requests that tasks draw them for.

Letters: R replicas, T time steps, B sequences, S outputs of a sequence, d inputs, o outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import torch
from torch import Tensor

from rnnbench.tasks.normal_numbers import normal
from rnnbench.tasks.random_numbers import Updates, batch_words, per_replica, random_words, uniform


class Stream(IntEnum):
    """Independent streams of data drawn from one seed; the numbers are part of the record and never change."""

    GRADIENT = 0
    CURVATURE = 1
    BACKTRACKING = 2
    LINE_SEARCH = 3
    EVALUATION = 4
    CONFIRMATION = 5
    PROBE = 6
    GRADIENT_NOISE = 7
    DIRECTIONS = 8
    FLOSSING = 9
    GUESSES = 10


STREAMS = {"train": Stream.GRADIENT, "validation": Stream.EVALUATION, "test": Stream.CONFIRMATION}
"""Streams by the usual names of their use: training, evaluations while training, and the confirmation that a task is
solved."""


@dataclass(frozen=True)
class Batch:
    """B sequences for each of R replicas.

    Attributes:
        inputs: (T, R, B, d), floating point; zero beyond a sequence's own end.
        lengths: (R, B), int64: number of steps of each sequence, at most T.
        output_steps: (S, R, B), int64: the step (0-based) of each target; None if every step has a target, S = T.
        targets: (S, R, B, o) floating point for real or binary targets, (S, R, B) int64 for classes.
    """

    inputs: Tensor
    lengths: Tensor
    output_steps: Tensor | None
    targets: Tensor

    @property
    def size(self) -> int:
        """Number of sequences B of each replica."""
        return self.inputs.shape[2]

    def rows(self, start: int, stop: int) -> "Batch":
        """Sequences start to stop of every replica, as views."""
        steps = None if self.output_steps is None else self.output_steps[:, :, start:stop]
        return Batch(self.inputs[:, :, start:stop], self.lengths[:, start:stop], steps, self.targets[:, :, start:stop])

    def replicas(self, index: Tensor | slice) -> "Batch":
        """The batch of the indexed replicas."""
        steps = None if self.output_steps is None else self.output_steps[:, index]
        return Batch(self.inputs[:, index], self.lengths[index], steps, self.targets[:, index])


@dataclass(frozen=True)
class Draw:
    """Request for a batch: the sequences to draw, and the random numbers to make them from.

    Attributes:
        seeds: One seed per replica, R of them, each in [0, 2^63).
        stream: Data stream of the seed.
        update: Index of the update, >= 0; or one index per replica, if their updates differ.
        batch_size: Number of sequences B of each replica.
        first_row: Index in the stream of the first sequence.
        dtype: Type of inputs and real targets.
        device: Device of all tensors.
    """

    seeds: Sequence[int]
    stream: Stream
    update: Updates
    batch_size: int
    first_row: int
    dtype: torch.dtype
    device: torch.device | str

    def words(self, num_positions: int) -> Tensor:
        """Random 32-bit words for every sequence, (num_positions, R, B), int32; see `random_words`."""
        return random_words(
            self.seeds,
            self.stream,
            self.update,
            num_positions,
            self.batch_size,
            first_row=self.first_row,
            device=self.device,
        )

    def shared_words(self, num_positions: int) -> Tensor:
        """Random words shared by all sequences of a replica's batch, (num_positions, R, 1); see `batch_words`."""
        return batch_words(self.seeds, self.stream, self.update, num_positions, device=self.device)

    def balanced_classes(self, num_classes: int) -> Tensor:
        """Equally frequent classes, (R, B), int64: the class of a row is (row + update) mod num_classes."""
        device = torch.device(self.device)
        rows = torch.arange(self.first_row, self.first_row + self.batch_size, device=device)
        turns = (rows + per_replica(self.update, device)) % num_classes
        return turns.expand(len(self.seeds), self.batch_size)

    def full_lengths(self, num_steps: int) -> Tensor:
        """Lengths of sequences that all have num_steps steps, (R, B), int64."""
        return torch.full((len(self.seeds), self.batch_size), num_steps, device=self.device)


NUMBERS_PER_WORD, ROWS = 2, 2
"""Normal numbers from a random word, and rows of random words that cost no more than one row."""


def normal_vectors(seeds: Sequence[int], stream: Stream, update: int, size: int, *, like: Tensor) -> Tensor:
    """A vector of standard normal numbers for each replica, (R, size): a pure function of (seed, stream, update).

    Args:
        seeds: One seed per replica, R of them.
        stream: Data stream of the seed.
        update: Index of the update, >= 0.
        size: Length of the vectors.
        like: Tensor whose type and device the result gets.
    """
    num_words = -(-size // (NUMBERS_PER_WORD * ROWS))
    words = random_words(seeds, stream, update, num_words, ROWS, device=like.device)
    numbers = normal(words, 1.0, out=like.new_empty((NUMBERS_PER_WORD * num_words, len(seeds), ROWS)))
    return numbers.transpose(0, 1).reshape(len(seeds), -1)[:, :size]


def uniform_vectors(
    seeds: Sequence[int], stream: Stream, update: int, size: int, *, count: int, like: Tensor
) -> Tensor:
    """Vectors of numbers that are uniform in [0, 1), several for each replica, (count, R, size).

    Args:
        seeds: One seed per replica, R of them.
        stream: Data stream of the seed.
        update: Index of the update, >= 0.
        size: Length of the vectors.
        count: Number of vectors of a replica; the first ones do not depend on it.
        like: Tensor whose type and device the result gets.
    """
    words = random_words(seeds, stream, update, size, count, device=like.device)
    return uniform(words, like.new_empty(words.shape)).permute(2, 1, 0)
