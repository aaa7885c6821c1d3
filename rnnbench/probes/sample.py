"""A few sequences of an update's batch in float64 on the CPU, for the computations of a probe.

Letters: R replicas, P parameters of one replica, T time steps, b sequences.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.losses import Loss
from rnnbench.models.base import BlockShape, Model
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Gradient, Objective
from rnnbench.tasks.base import Batch

SEQUENCES_AT_ONCE = 256
"""Sequences, over some replicas, whose states are in memory at once, so that memory does not grow with R."""


@dataclass(frozen=True)
class Sample:
    """The first sequences of each replica's batch, and the parameters at which its gradient was taken.

    Attributes:
        model: The model.
        loss_function: Of one output.
        batch: b sequences of each replica.
        theta: (R, P).
    """

    model: Model
    loss_function: Loss
    batch: Batch
    theta: Tensor

    def objectives(self) -> Iterator[tuple[slice, Objective]]:
        """The objectives of a few replicas each, with their rows; each in one block, so that it is traced whole."""
        engine = Engine(self.model, dtype=torch.float64)
        at_once = max(1, SEQUENCES_AT_ONCE // self.batch.size)
        for start in range(0, len(self.theta), at_once):
            rows = slice(start, start + at_once)
            yield rows, Objective(engine, self.loss_function, self.batch.replicas(rows))
        engine.close()


def take_sample(model: Model, gradient: Gradient, num_sequences: int) -> Sample:
    """Copy a sample of an update's batch; later updates do not change it.

    Args:
        model: The model.
        gradient: Of the update.
        num_sequences: b, or all where the batch has fewer.
    """
    batch = gradient.batch.rows(0, min(num_sequences, gradient.batch.size))
    targets = batch.targets.double() if batch.targets.is_floating_point() else batch.targets
    steps = None if batch.output_steps is None else batch.output_steps.cpu()
    own = Batch(batch.inputs.to("cpu", torch.float64), batch.lengths.cpu(), steps, targets.cpu())
    return Sample(model, gradient.loss_function, own, gradient.theta.to("cpu", torch.float64))


def sequences_at_once(num_replicas: int, num_sequences: int) -> int:
    """Sequences, over the replicas of one of a sample's objectives."""
    return num_sequences * min(num_replicas, max(1, SEQUENCES_AT_ONCE // num_sequences))


def sample_bytes(model: Model, num_steps: int, num_replicas: int, num_sequences: int) -> int:
    """Memory of the sweeps over a sample's objectives, which are made one after the other."""
    sequences = sequences_at_once(num_replicas, num_sequences)
    return model.block_bytes(BlockShape(1, num_steps, sequences, torch.float64, torch.device("cpu")))
