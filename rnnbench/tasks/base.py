"""Contract of a task: a source of batches, a loss, and a criterion for being solved.

Variants are named after publications, which docs/tasks.md lists.

Letters: R replicas, T time steps, B sequences, S outputs of a sequence, d inputs, o outputs.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from rnnbench.losses import Loss, loss_of
from rnnbench.metrics import Metric
from rnnbench.tasks.batches import STREAMS
from rnnbench.tasks.batches import Batch as Batch
from rnnbench.tasks.batches import Draw as Draw
from rnnbench.tasks.batches import Stream as Stream
from rnnbench.tasks.batches import normal_vectors as normal_vectors
from rnnbench.tasks.batches import uniform_vectors as uniform_vectors
from rnnbench.tasks.dataset import UpdateDataset
from rnnbench.tasks.random_numbers import Updates, whole_number
from rnnbench.tasks.sequences import Sequences


class Task(ABC):
    """A problem over sequences; independent of model and optimizer.

    Attributes:
        variants: Variant -> smallest sequence length, the default variant first; see `check_variant`. Empty: the task
            has no variants.
        length_key: Key on which the smallest length of a variant depends, such as the number of positions to memorize.
        steps_per_unit: Variant -> steps that each unit of this key adds to its smallest length.
        input_size: Number of inputs d.
        output_size: Number of outputs o.
        loss: Name of a loss in `rnnbench.losses.LOSSES`, or a `Loss` of the task's own.
        num_steps: T, the length of the longest sequence of this variant.
        num_outputs: Number of outputs S of a sequence.
        baseline_loss: Loss of the best predictor that ignores its inputs but knows the step (closed form).
        baseline_error_rate: Error rate of that predictor (closed form).
        has_unpredictable_outputs: Whether some targets cannot be predicted from the inputs so far.
        solved_error_rate: The task is solved when the share of wrong sequences is below this.
        evaluation_metrics: Metrics that `scores` computes.
        dependency: Lags of the steps that the answer depends on, counted back from the last step of the shortest
            sequence, which has lag 0; None: not known. The probes record the gradient at its first and last lag.
    """

    variants: ClassVar[Mapping[str, int]] = {}
    length_key: ClassVar[str] = "num_positions"
    steps_per_unit: ClassVar[Mapping[str, int]] = {}

    input_size: int
    output_size: int
    loss: str | Loss
    num_steps: int
    num_outputs: int = 1
    baseline_loss: float
    baseline_error_rate: float
    has_unpredictable_outputs: bool = False
    solved_error_rate: float = 0.01
    evaluation_metrics: tuple[Metric, ...] = ()
    dependency: range | None = None

    @classmethod
    def smallest_length(cls, variant: str, units: int = 0) -> int:
        """The smallest sequence length of a variant.

        From this length on, every window of steps that a variant draws from has at least one step, no two windows
        overlap, and all lie inside the shortest sequence.

        Args:
            variant: Name of one of the variants.
            units: Value of `length_key`, for tasks that have this key.
        """
        return cls.variants[variant] + units * cls.steps_per_unit.get(variant, 0)

    @classmethod
    def check_variant(cls, variant: str, sequence_length: int, units: int = 0) -> None:
        """Check that the task has a variant, and that the variant is defined at a length.

        Args:
            variant: Name of the variant.
            sequence_length: Nominal length T.
            units: Value of `length_key`, for tasks that have this key.

        Raises:
            ValueError: The task has no such variant, or the length is too small for it; the message names the key.
        """
        whole_number("task.sequence_length", sequence_length)
        if variant not in cls.variants:
            known = ", ".join(cls.variants)
            raise ValueError(f"task.variant: {cls.__name__} has no variant {variant!r}; it has {known}")
        smallest = cls.smallest_length(variant, units)
        if sequence_length < smallest:
            condition = f" with task.{cls.length_key}={units}" if variant in cls.steps_per_unit else ""
            raise ValueError(
                f"task.sequence_length must be at least {smallest} for variant {variant} of {cls.__name__}{condition}, "
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

    # ------------------------------------------------------------ in torch's layout, for one net

    def batch(
        self,
        seed: int,
        update: int,
        batch_size: int,
        *,
        stream: Literal["train", "validation", "test"] = "train",
        first_row: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Sequences:
        """Draw the sequences of one update: those on which a run with this seed and batch size trains at this update.

        The sequences are a pure function of (seed, stream, update, row): the first ones of a larger batch are the same.

        Args:
            seed: Seed of the sequences, in [0, 2^63).
            update: Index of the update; that of the first update is 0.
            batch_size: Number of sequences B.
            stream: "train"; or held-out sequences: runs of every seed are evaluated on `batch(0, 0, 1000,
                stream="validation")`, and are solved if they then pass on `batch(0, 0, 10_000, stream="test")`.
            first_row: Index of the first sequence among those of the update.
            dtype: Type of inputs and real targets, float32 or float64.
            device: Device of all tensors.

        Raises:
            ValueError: There is no such stream, or a number lies outside its limits.
        """
        if stream not in STREAMS:
            raise ValueError(f"stream must be one of {', '.join(STREAMS)}, got {stream!r}")
        numbers = {"seed": seed, "update": update, "batch_size": batch_size, "first_row": first_row}
        seed, update, batch_size, first_row = (whole_number(name, value) for name, value in numbers.items())
        place = STREAMS[stream], update, batch_size
        return Sequences.of(self.replica_batch([seed], *place, first_row=first_row, dtype=dtype, device=device))

    def dataset(
        self,
        seed: int,
        batch_size: int,
        *,
        first_update: int = 0,
        num_updates: int | None = None,
        stream: Literal["train", "validation", "test"] = "train",
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> UpdateDataset:
        """The batches of successive updates as a dataset: `DataLoader(task.dataset(0, 100), batch_size=None)`.

        Args:
            seed: Seed of the sequences.
            batch_size: Number of sequences B of each batch.
            first_update: Index of the first update.
            num_updates: Number of batches; None: no end.
            stream: As in `batch`.
            dtype: Type of inputs and real targets.
            device: Device of all tensors; a CPU if the loader has workers.

        Raises:
            ValueError: There is no such stream, or a number lies outside its limits.
        """
        draw = partial(self.batch, seed, batch_size=batch_size, stream=stream, dtype=dtype, device=device)
        draw(first_update)  # so that bad input is refused here, not in a worker
        return UpdateDataset(draw, first_update, num_updates)

    def mean_loss(self, outputs: Tensor, data: Sequences) -> Tensor:
        """The loss that runs record: the mean over all targets, a scalar with a gradient.

        Args:
            outputs: (N, o), the outputs at the steps of the targets, as `data.at_targets` selects them.
            data: Sequences with the targets.

        Raises:
            ValueError: `outputs` has another shape.
        """
        self._check_outputs(outputs, data)
        outputs, targets = data.in_replica_layout(outputs), data.in_replica_layout(data.targets)
        return loss_of(self.loss).values(outputs, targets).mean()

    def error_rate(self, outputs: Tensor, data: Sequences) -> float:
        """The share of sequences that are wrong by the criterion of the variant.

        Args:
            outputs: (N, o), as in `mean_loss`.
            data: Sequences with the targets.

        Raises:
            ValueError: `outputs` has another shape.
        """
        self._check_outputs(outputs, data)
        return self.misses(data.in_replica_layout(outputs), data.as_batch()).double().mean().item()

    def is_solved(self, error_rate: float) -> bool:
        """Whether an error rate is below `solved_error_rate`.

        A run counts as solved when this holds at three evaluations in a row and then on 10,000 further sequences.
        """
        return error_rate < self.solved_error_rate

    def _check_outputs(self, outputs: Tensor, data: Sequences) -> None:
        """Check that there is one row of outputs for each target; torch would broadcast other shapes."""
        shape = (len(data.targets), self.output_size)
        if outputs.shape != shape:
            raise ValueError(f"outputs must have the shape {shape}, one row per target, got {tuple(outputs.shape)}")
