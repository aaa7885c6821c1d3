"""A few sequences of an update's batch, copied to the CPU in float64 for a probe.

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
"""Number of sequences, summed over replicas, processed at a time, so that memory does not grow with R."""


@dataclass(frozen=True)
class Sample:
    """The first sequences of each replica's batch, and the parameters at which its gradient was computed.

    Attributes:
        model: The model.
        loss_function: Loss of one output.
        batch: b sequences of each replica.
        theta: Parameters, (R, P).
    """

    model: Model
    loss_function: Loss
    batch: Batch
    theta: Tensor

    def objectives(self) -> Iterator[tuple[slice, Objective]]:
        """Yield objectives of a few replicas at a time, with the rows of these replicas.

        Each objective is computed in one block, so that its trace holds all its sequences.
        """
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
        gradient: Gradient of the update.
        num_sequences: b; if the batch has fewer sequences, all of them are copied.
    """
    batch = gradient.batch.rows(0, min(num_sequences, gradient.batch.size))
    targets = batch.targets.double() if batch.targets.is_floating_point() else batch.targets
    steps = None if batch.output_steps is None else batch.output_steps.cpu()
    own = Batch(batch.inputs.to("cpu", torch.float64), batch.lengths.cpu(), steps, targets.cpu())
    return Sample(model, gradient.loss_function, own, gradient.theta.to("cpu", torch.float64))


def sequences_at_once(num_replicas: int, num_sequences: int) -> int:
    """Return the number of sequences, summed over replicas, of one objective of a sample."""
    return num_sequences * min(num_replicas, max(1, SEQUENCES_AT_ONCE // num_sequences))


def sample_bytes(model: Model, num_steps: int, num_replicas: int, num_sequences: int) -> int:
    """Return the memory, in bytes, of the passes over a sample's objectives, which are processed one at a time."""
    sequences = sequences_at_once(num_replicas, num_sequences)
    return model.block_bytes(BlockShape(1, num_steps, sequences, torch.float64, torch.device("cpu")))
