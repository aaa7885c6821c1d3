"""Contract of a task: a source of batches, a loss, and a criterion for being solved.

Variants are named after publications, which docs/tasks.md lists.

Letters: R replicas, T time steps, B sequences, S outputs of a sequence, d inputs, o outputs.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

import torch
from torch import Tensor

from rnnbench.losses import Loss
from rnnbench.metrics import Metric
from rnnbench.tasks.random_numbers import Updates, batch_words, per_replica, random_words


class Stream(IntEnum):
    """Independent streams of data drawn from one seed; the numbers are part of the record and never change."""

    GRADIENT = 0
    CURVATURE = 1
    BACKTRACKING = 2
    LINE_SEARCH = 3
    EVALUATION = 4
    CONFIRMATION = 5
    PROBE = 6


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


class Task(ABC):
    """A problem over sequences; independent of model and optimizer.

    Attributes:
        variants: Variant -> smallest sequence length, the default variant first; see `check_variant`. Empty: the task
            has no variants.
        steps_per_position: Variant -> steps that each position to memorize adds to its smallest length: one to show it
            and one for the answer, if any.
        input_size: Number of inputs d.
        output_size: Number of outputs o.
        loss: Name of a loss in `rnnbench.losses.LOSSES`, or a `Loss` of the task's own.
        num_steps: T, the length of the longest sequence of this variant.
        num_outputs: Number of outputs S of a sequence.
        baseline_loss: Loss of the best predictor that ignores its inputs but knows the step (closed form).
        baseline_error_rate: Error rate of that predictor (closed form).
        solved_error_rate: The task is solved when the share of wrong sequences is below this.
        evaluation_metrics: Metrics that `scores` computes.
        dependency: Lags of the steps that the answer depends on, counted back from the last step of the shortest
            sequence, which has lag 0; None: not known. The probes record the gradient at its first and last lag.
    """

    variants: ClassVar[Mapping[str, int]] = {}
    steps_per_position: ClassVar[Mapping[str, int]] = {}

    input_size: int
    output_size: int
    loss: str | Loss
    num_steps: int
    num_outputs: int = 1
    baseline_loss: float
    baseline_error_rate: float
    solved_error_rate: float = 0.01
    evaluation_metrics: tuple[Metric, ...] = ()
    dependency: range | None = None

    @classmethod
    def smallest_length(cls, variant: str, num_positions: int = 0) -> int:
        """The smallest sequence length of a variant.

        From this length on, every window of steps that a variant draws from has at least one step, no two windows
        overlap, and all lie inside the shortest sequence.

        Args:
            variant: Name of one of the variants.
            num_positions: Number of positions to memorize, for tasks that have this key.
        """
        return cls.variants[variant] + num_positions * cls.steps_per_position.get(variant, 0)

    @classmethod
    def check_variant(cls, variant: str, sequence_length: int, num_positions: int = 0) -> None:
        """Check that the task has a variant, and that the variant is defined at a length.

        Args:
            variant: Name of the variant.
            sequence_length: Nominal length T.
            num_positions: Number of positions to memorize, for tasks that have this key.

        Raises:
            ValueError: The task has no such variant, or the length is too small for it; the message names the key.
        """
        if variant not in cls.variants:
            known = ", ".join(cls.variants)
            raise ValueError(f"task.variant: {cls.__name__} has no variant {variant!r}; it has {known}")
        smallest = cls.smallest_length(variant, num_positions)
        if sequence_length < smallest:
            positions = f" with task.num_positions={num_positions}" if variant in cls.steps_per_position else ""
            raise ValueError(
                f"task.sequence_length must be at least {smallest} for variant {variant} of {cls.__name__}{positions}, "
                f"got {sequence_length}"
            )

    @abstractmethod
    def draw(self, draw: Draw) -> Batch:
        """The requested sequences: a pure function of (seed, stream, update, row), separately for each replica."""

    def replica_batch(
        self,
        seeds: Sequence[int],
        stream: Stream,
        update: Updates,
        batch_size: int,
        *,
        first_row: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Batch:
        """Draw the batch of one update for all replicas: for each a pure function of (seed, stream, update, row).

        Row k of a batch does not depend on the batch's size, dtype or device, or on the other replicas.

        Args:
            seeds: One seed per replica, R of them, each in [0, 2^63).
            stream: Data stream of the seed.
            update: Index of the update, >= 0; or one index per replica, if their updates differ.
            batch_size: Number of sequences B of each replica.
            first_row: Index in the stream of the first sequence.
            dtype: Type of inputs and real targets.
            device: Device of all tensors.
        """
        return self.draw(Draw(seeds, stream, update, batch_size, first_row, dtype, device))

    @abstractmethod
    def misses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Which sequences are wrong.

        Args:
            outputs: (S, R, B, o), the readout at `batch.output_steps`.
            batch: Batch with the inputs and targets of the outputs.

        Returns:
            (R, B), bool.
        """

    def scores(self, outputs: Tensor, losses: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        """Further metrics of each sequence; every evaluation records their means beside loss and error rate.

        Args:
            outputs: (S, R, B, o), as in `misses`.
            losses: (S, R, B), the loss of each output.
            batch: Batch with the inputs and targets of the outputs.

        Returns:
            (R, B) for each tag of `evaluation_metrics`.
        """
        return {}
