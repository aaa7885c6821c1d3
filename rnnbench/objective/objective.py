"""The loss of one batch under one model, as a function of theta.

Letters: R replicas, P parameters of one replica, T time steps, S outputs of a sequence, B sequences, s size of
the model's whole state, o output units.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from torch import Tensor

from rnnbench.losses import Loss, mean_of
from rnnbench.models.base import Sweeps
from rnnbench.models.information_flow import InformationFlow
from rnnbench.objective.blocked_batch import BlockedBatch
from rnnbench.objective.engine import Block
from rnnbench.objective.gauss_newton import GaussNewton
from rnnbench.objective.hessian import Hessian
from rnnbench.objective.trace import SweptTrace, Trace
from rnnbench.tasks.base import Batch

NUMBERS_AT_ONCE = 2**22
"""Largest number of elements of the per-sequence gradients that are in memory at once."""


@dataclass(frozen=True)
class Gradient:
    """Loss and gradient of a batch, with what the probes can read.

    Attributes:
        loss: (R,).
        gradient: (R, P).
        trace: States and state gradients of the batch's first sequences.
        batch: The batch; if several processes share it, the part of this process.
        num_sequences: B, of the whole batch.
        loss_function: Loss of one output.
        theta: Where the gradient was taken, (R, P); a look-ahead method takes it elsewhere than at the parameters.
        flow: The penalty on vanishing gradients, if it was asked for.
    """

    loss: Tensor
    gradient: Tensor
    trace: Trace
    batch: Batch
    num_sequences: int
    loss_function: Loss
    theta: Tensor
    flow: InformationFlow | None = None

    def replicas(self, rows: Tensor) -> "Gradient":
        """Loss and gradient of some replicas, by their rows, int64, on theta's device."""
        return replace(
            self,
            loss=self.loss[rows],
            gradient=self.gradient[rows],
            trace=self.trace.replicas(rows),
            batch=self.batch.replicas(rows),
            theta=self.theta[rows],
            flow=None if self.flow is None else self.flow.map(lambda sums: sums[rows]),
        )


class Objective(BlockedBatch):
    """The loss of one batch, as a function of theta (R, P): the mean over a replica's B sequences and S outputs."""

    @property
    def group_sizes(self) -> list[int]:
        """Number of elements of each named parameter of the model, in their order in theta; they sum to P."""
        return [parameter.size for parameter in self.engine.model.layout.values()]

    def rows(self, start: int, stop: int) -> "Objective":
        """The objective of sequences start to stop of every replica."""
        return Objective(self.engine, self.loss_function, self.batch.rows(start, stop))

    def read_outputs(self, theta: Tensor, read: Callable[[Tensor, Batch], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Apply a function to the outputs, block by block, so that they are never all in memory at once.

        Args:
            theta: (R, P).
            read: Maps the outputs of a block at its output steps, (S, r, b, o), and the batch of the block to tensors
                (..., r, b) by name.

        Returns:
            The tensors of all blocks joined, (..., R, B).
        """
        weights = self.engine.model.weights(theta)

        joined: dict[str, Tensor] = {}
        lock = threading.Lock()

        def run(block: Block) -> None:
            sweeps, own, batch = self.load(block, weights)
            outputs = sweeps.outputs(own)
            self.engine.give_back([sweeps])
            # Copied into the result at once: small tensors kept between large buffers would fragment the heap.
            for name, piece in read(outputs, batch).items():
                with lock:
                    if name not in joined:
                        joined[name] = piece.new_empty(*piece.shape[:-2], *self.batch.inputs.shape[1:3])
                joined[name][..., block.replicas, block.sequences] = piece

        self.engine.map(run, self.gradient_blocks)
        return joined

    def outputs(self, theta: Tensor) -> Tensor:
        """The readout of every sequence at its output steps, (S, R, B, o)."""
        return self.read_outputs(theta, lambda outputs, _: {"outputs": outputs.movedim(-1, 0)})["outputs"].movedim(
            0, -1
        )

    def loss(self, theta: Tensor) -> Tensor:
        """The loss of every replica, (R,), float64."""
        values = self.read_outputs(
            theta, lambda outputs, batch: {"loss": self.loss_function.values(outputs, batch.targets)}
        )
        return mean_of(values["loss"])

    def loss_and_gradient(self, theta: Tensor, *, with_flow: bool = False) -> Gradient:
        """Loss (R,) and gradient (R, P) in one forward and one backward sweep; both in theta's dtype.

        Args:
            theta: (R, P).
            with_flow: Whether the penalty on vanishing gradients is computed as well.
        """
        weights = self.engine.model.weights(theta)

        def run(block: Block) -> tuple[Tensor, Tensor, Sweeps | None, InformationFlow | None]:
            sweeps, own, batch = self.load(block, weights)
            values, gradient = sweeps.loss_and_gradient(own, self.loss_function, batch.targets, self.num_outputs)
            flow = self._flow(theta[block.replicas], sweeps) if with_flow else None
            if block.sequences.start < self.engine.num_traced:
                return values, gradient, sweeps, flow
            self.engine.give_back([sweeps])
            return values, gradient, None, flow

        values, gradients, sweeps, flows = zip(*self.engine.map(run, self.gradient_blocks), strict=True)
        loss, gradient = self._put_together(values).div_(self.num_outputs), self._put_together(gradients)
        by_replicas = groupby(zip(self.gradient_blocks, sweeps, strict=True), key=lambda each: each[0].replicas.start)
        kept = [[one for _, one in row if one is not None] for _, row in by_replicas]
        trace = SweptTrace(self.engine, kept, min(self.engine.num_traced, self.batch.size))
        flow = self._add_flows(flows) if with_flow else None
        return Gradient(loss, gradient, trace, self.batch, self.size, self.loss_function, theta, flow)

    def _flow(self, theta: Tensor, sweeps: Sweeps) -> InformationFlow:
        """The penalty of one block after its backward sweep."""
        count = sweeps.shape.sequences
        return self.engine.model.information_flow(theta, sweeps.states(count), sweeps.state_gradients(count))

    def _add_flows(self, flows: Sequence[InformationFlow]) -> InformationFlow:
        """The penalties of all blocks together."""
        return InformationFlow(
            self._put_together([flow.penalties for flow in flows]),
            self._put_together([flow.gradients for flow in flows]),
            self._put_together([flow.num_steps for flow in flows]),
        )

    def _put_together(self, pieces: Sequence[Tensor]) -> Tensor:
        """Pieces (r, ...) of the blocks of gradients as one tensor, (R, ...), summed over a replica's blocks."""
        if len(pieces) == 1:
            return pieces[0]
        total = pieces[0].new_zeros(self.batch.inputs.shape[1], *pieces[0].shape[1:])
        for block, piece in zip(self.gradient_blocks, pieces, strict=True):
            total[block.replicas] += piece
        return total

    def linearize(
        self, theta: Tensor, structural_damping: Tensor | None = None, normalization: str = "batch"
    ) -> GaussNewton:
        """The Gauss-Newton matrix at theta: linearized once, applied to many vectors.

        Args:
            theta: (R, P).
            structural_damping: Weight of the structural-damping matrix, (R, 1); None: without it.
            normalization: Mean that the structural-damping matrix is, as in `GaussNewton`.
        """
        return GaussNewton(self, theta, structural_damping, normalization)

    def hessian(self, theta: Tensor) -> Hessian:
        """The Hessian at theta (R, P): recorded once, applied to many vectors."""
        return Hessian(self, theta)

    def hessian_product(self, theta: Tensor, vector: Tensor) -> Tensor:
        """H(theta) @ vector for each replica, (R, P); for one vector."""
        return self.hessian(theta).product(vector)

    def mean_squared_gradient(self, theta: Tensor) -> Tensor:
        """Mean over the sequences of the square of each one's own gradient, element by element, (R, P).

        It is the exact diagonal of the empirical Fisher matrix: each sequence is computed as a replica of its own. The
        loss of a sequence is the mean over its outputs.

        Cost: several times that of one gradient of the batch, since sequences share no matrix product.
        """
        (num_replicas, num_parameters), total = theta.shape, torch.zeros_like(theta)
        at_once = max(1, NUMBERS_AT_ONCE // (num_replicas * num_parameters))
        for start in range(0, self.batch.size, at_once):
            batch = self.batch.rows(start, min(start + at_once, self.batch.size))
            alone = Objective(self.engine, self.loss_function, _sequences_as_replicas(batch))
            gradient = alone.loss_and_gradient(theta.repeat_interleave(batch.size, 0)).gradient
            total += gradient.square_().view(num_replicas, batch.size, -1).sum(1)
        return total / self.batch.size


def _sequences_as_replicas(batch: Batch) -> Batch:
    """The batch of R replicas of B sequences as R B replicas of one sequence each."""
    steps = None if batch.output_steps is None else batch.output_steps.flatten(1, 2).unsqueeze(2)
    lengths = batch.lengths.flatten().unsqueeze(1)
    return Batch(batch.inputs.flatten(1, 2).unsqueeze(2), lengths, steps, batch.targets.flatten(1, 2).unsqueeze(2))
