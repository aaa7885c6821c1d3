"""A batch under one model and one loss, split into blocks for the workers.

Letters as in `rnnbench.objective.objective`.
"""

import copy
from typing import Self

from torch import Tensor

from rnnbench.losses import Loss
from rnnbench.models.base import Sweeps
from rnnbench.objective.engine import Block, Engine
from rnnbench.tasks.base import Batch


class BlockedBatch:
    """A batch, its loss, and the blocks in which the engine computes it.

    Args:
        engine: Runs the sweeps.
        loss: Loss of one output.
        batch: The sequences.

    Attributes:
        num_steps: T.
        size: Number of sequences that the loss is the mean over, B.
        num_outputs: S * B.
        whole: The block that holds the whole batch.
        blocks: Blocks for second derivatives.
        gradient_blocks: Blocks for losses and gradients.
    """

    def __init__(self, engine: Engine, loss: Loss, batch: Batch) -> None:
        self.engine, self.loss_function, self.batch = engine, loss, batch
        num_steps, num_replicas, num_sequences, _ = batch.inputs.shape
        self.num_steps, self.size = num_steps, num_sequences
        self._split(num_replicas)
        self.num_outputs = batch.targets.shape[0] * num_sequences

    def replicas(self, rows: Tensor) -> Self:
        """The same for some replicas, by their rows, int64."""
        some = copy.copy(self)
        some.batch = self.batch.replicas(rows)
        some._split(len(rows))
        return some

    def _split(self, num_replicas: int) -> None:
        """Choose the blocks."""
        num_sequences = self.batch.size
        self.whole = Block(slice(0, num_replicas), slice(0, num_sequences))
        self.blocks = self.engine.split(num_replicas, self.num_steps, num_sequences)
        self.gradient_blocks = self.engine.split(num_replicas, self.num_steps, num_sequences, for_gradients=True)

    def block_batch(self, block: Block) -> Batch:
        """The sequences of one block."""
        if block == self.whole:
            return self.batch
        return self.batch.replicas(block.replicas).rows(block.sequences.start, block.sequences.stop)

    def load(self, block: Block, weights: object) -> tuple[Sweeps, object, Batch]:
        """Load the batch of one block.

        Args:
            block: The block.
            weights: `Model.weights` of all replicas.

        Returns:
            The sweeps, lent by the engine and to be given back by the caller; the weights of the block's replicas; its
            batch.
        """
        batch = self.block_batch(block)
        sweeps = self.engine.lend(batch.inputs.shape[1], self.num_steps, batch.size)
        sweeps.load(batch)
        own = weights if block == self.whole else self.engine.model.slice_weights(weights, block.replicas)
        return sweeps, own, batch

    def forward(self, block: Block, weights: object) -> tuple[Sweeps, Tensor, Batch]:
        """Run one block forward; as `load`, with the outputs (S, r, b, o) in place of the weights."""
        sweeps, own, batch = self.load(block, weights)
        return sweeps, sweeps.forward(own), batch
