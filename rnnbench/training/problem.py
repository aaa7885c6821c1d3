"""The learning problem of a run: task, model and loss for all its replicas.

Letters: R replicas, P parameters of one replica, B sequences.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from rnnbench.init.base import Initializer
from rnnbench.losses import Loss, loss_of, mean_of
from rnnbench.models.base import Model
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.objective.sharded import ShardedObjective
from rnnbench.optim.base import DrawObjective
from rnnbench.tasks.base import Batch, Stream, Task
from rnnbench.training.world import ALONE, World

NUM_EVALUATION_SEQUENCES = 1000
"""Number of held-out sequences of every evaluation, the same for all replicas, runs and methods."""

NUM_CONFIRMATION_SEQUENCES = 10_000
"""Number of further held-out sequences that confirm that a replica is solved (Pascanu et al. 2013, section 4)."""

EVALUATION_SEED = 0

NUMBERS_AT_ONCE, UPDATES_AT_ONCE = 2**21, 32
"""Limits for drawing small batches of several updates together, since each draw has a fixed cost: total number of input
values, and number of updates."""


@dataclass(frozen=True)
class Problem:
    """Draws objectives and evaluates parameters.

    Attributes:
        task: The task.
        engine: Runs the forward and backward passes of the model.
        seeds: One seed per replica.
        world: The processes that share the batches.
    """

    task: Task
    engine: Engine
    seeds: Sequence[int]
    world: World = ALONE
    _drawn: dict[tuple[Stream, range], tuple[range, Batch]] = field(default_factory=dict, init=False, repr=False)

    @property
    def model(self) -> Model:
        """The engine's model."""
        return self.engine.model

    @property
    def loss(self) -> Loss:
        """The task's loss."""
        return loss_of(self.task.loss)

    def replicas(self, index: Sequence[int]) -> "Problem":
        """Return the problem of some of the replicas, by their rows."""
        return replace(self, seeds=[self.seeds[k] for k in index])

    def draw(self, update: int) -> DrawObjective:
        """Return a function that draws the objectives of one update."""

        def draw(stream: Stream, batch_size: int) -> Objective:
            draw_rows = partial(self._batch, stream, update)
            if self.world.size == 1:
                return Objective(self.engine, self.loss, draw_rows(range(batch_size)))
            world = self.world
            return ShardedObjective(
                self.engine, self.loss, range(batch_size), draw_rows, share=world.share, add_up=world.add_up
            )

        return draw

    def _batch(self, stream: Stream, update: int, rows: range) -> Batch:
        """Return the batch of one update; the batches of several updates are drawn together, like further replicas."""
        num_replicas = len(self.seeds)
        numbers = self.task.num_steps * num_replicas * len(rows) * self.task.input_size
        count = max(1, min(NUMBERS_AT_ONCE // numbers, UPDATES_AT_ONCE))
        updates, drawn = self._drawn.get((stream, rows), (range(0), None))
        if drawn is None or update not in updates:
            updates = range(update - update % count, update - update % count + count)
            drawn = self.task.replica_batch(
                list(self.seeds) * count,
                stream,
                [one for one in updates for _ in self.seeds] if count > 1 else update,
                len(rows),
                first_row=rows.start,
                dtype=self.engine.dtype,
                device=self.engine.device,
            )
            if count > 1:
                self._drawn[stream, rows] = updates, drawn
        first = num_replicas * (update - updates.start)
        return drawn.replicas(slice(first, first + num_replicas))

    def evaluate(self, theta: Tensor, stream: Stream = Stream.EVALUATION, first_row: int = 0) -> dict[str, Tensor]:
        """Compute loss, error rate and the task's own scores on `NUM_EVALUATION_SEQUENCES` held-out sequences.

        Args:
            theta: Parameters, (R, P).
            stream: EVALUATION or CONFIRMATION.
            first_row: Index of the first of these sequences in the stream.

        Returns:
            Column -> values, (R,), float64.
        """
        rows = self.world.share(range(first_row, first_row + NUM_EVALUATION_SEQUENCES))
        batch = self.task.replica_batch(
            [EVALUATION_SEED],
            stream,
            0,
            len(rows),
            first_row=rows.start,
            dtype=self.engine.dtype,
            device=self.engine.device,
        )
        batch = _repeat(batch, theta.shape[0])
        scores = Objective(self.engine, self.loss, batch).read_outputs(theta, self._scores)
        means = {"loss/eval": mean_of(scores.pop("loss/eval"))}
        means |= {column: values.double().mean(1) for column, values in scores.items()}
        weight = len(rows) / NUM_EVALUATION_SEQUENCES
        return {column: self.world.add_up(mean * weight) for column, mean in means.items()}

    def _scores(self, outputs: Tensor, batch: Batch) -> Mapping[str, Tensor]:
        """Return the losses of all outputs, (S, r, b), and the scores of each sequence, (r, b), by column."""
        losses = self.loss.values(outputs, batch.targets)
        misses = self.task.misses(outputs, batch)
        return {"loss/eval": losses, "error_rate/eval": misses, **self.task.scores(outputs, losses, batch)}

    def confirm(self, theta: Tensor) -> Tensor:
        """Compute the error rate on `NUM_CONFIRMATION_SEQUENCES`, (R,), float64."""
        rows = range(0, NUM_CONFIRMATION_SEQUENCES, NUM_EVALUATION_SEQUENCES)
        return torch.stack([self.evaluate(theta, Stream.CONFIRMATION, row)["error_rate/eval"] for row in rows]).mean(0)


def _repeat(batch: Batch, num_replicas: int) -> Batch:
    """Expand the batch of one replica to many replicas, as views."""

    def repeat(tensor: Tensor, axis: int) -> Tensor:
        shape = list(tensor.shape)
        shape[axis] = num_replicas
        return tensor.expand(shape)

    steps = None if batch.output_steps is None else repeat(batch.output_steps, 1)
    return Batch(repeat(batch.inputs, 1), repeat(batch.lengths, 0), steps, repeat(batch.targets, 1))


def draw_parameters(model: Model, inits: Sequence[Initializer], seeds: Sequence[int], engine: Engine) -> Tensor:
    """Draw the initial theta (R, P); the parameters of a replica depend only on its own init and seed."""
    rows = [
        model.flatten(init.initial_parameters(torch.Generator().manual_seed(seed), model))
        for init, seed in zip(inits, seeds, strict=True)
    ]
    return torch.stack(rows).to(engine.device, engine.dtype)
