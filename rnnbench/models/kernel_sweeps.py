"""Recurrences of the simple recurrent net in Triton kernels: one launch per sweep over all time steps.

Parts without a recurrence use a matrix library: the direct effect of the direction on a tangent, and weight gradients.

Letters as in `rnnbench.models.simple_rnn_sweeps`.
"""

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import BlockShape, Model
from rnnbench.models.nonlinearity import Nonlinearity
from rnnbench.models.simple_rnn_sweeps import SimpleRnnSweeps, Weights

MIN_BATCHED_PRODUCTS = 32
"""Minimum number of products in a batch: a 100 x 100 product has four tiles, which use only four multiprocessors."""


class KernelSweeps(SimpleRnnSweeps):
    """Sweeps of the simple recurrent net over a block, in float32; they need Triton."""

    def __init__(self, model: Model, nonlinearity: Nonlinearity, shape: BlockShape) -> None:
        super().__init__(model, nonlinearity, shape)
        from rnnbench.kernels import launch  # not at the top: Triton may not be installed

        self._launch = launch
        self._name = nonlinearity.name

    @override
    def _run_states(self, weights: Weights) -> None:
        if not self._launch.fuses_inputs(self.c - self.n):
            inputs = self.rows[:, :-1, :, self.n : self.c].flatten(1, 2)
            torch.bmm(inputs, weights.step[:, self.n :], out=self.rows[:, 1:, :, : self.n].flatten(1, 2))
        self._launch.run_states(self.rows, weights.step, self._name)

    @override
    def _run_gradients(self, state_gradients: Tensor, structural: Tensor | None) -> None:
        step, source = None, state_gradients
        if self.output_steps is not None and len(self.output_steps) == 1:
            step = self.output_steps[0]
        elif self.output_steps is not None:
            self.pre_gradients.zero_()
            self.pre_gradients[self.replica_index, self.output_steps, self.sequence_index] = state_gradients
            source = self.pre_gradients.transpose(0, 1)
        damped = None if structural is None else self._launch.StructuralDamping(self.tangents, structural)
        self._launch.run_gradients(
            self.pre_gradients, self.rows, self.theta_weights.recurrent, source, step, damped, self._name
        )

    @override
    def _outer_products(self, pre_gradients: Tensor, rows: Tensor) -> Tensor:
        r, steps, _, _ = pre_gradients.shape
        pieces = next(count for count in range(1, steps + 1) if steps % count == 0 and self._is_enough(r * count))
        left = pre_gradients.view(r * pieces, -1, self.n)
        if pieces == 1:
            return torch.bmm(left.mT, rows[:, :-1].flatten(1, 2))
        # The rows of a replica have one step more than its gradients, so each replica needs its own batch of products.
        products = [
            torch.bmm(left[one * pieces : (one + 1) * pieces].mT, own[:-1].view(pieces, -1, own.shape[-1]))
            for one, own in enumerate(rows)
        ]
        return torch.stack(products).sum(1)

    def _is_enough(self, num_products: int) -> bool:
        return num_products >= min(MIN_BATCHED_PRODUCTS, self.shape.replicas * self.shape.steps)

    @override
    def _run_tangents(self, direction: Weights) -> None:
        operands = self.rows[:, :-1, :, : self.c].flatten(1, 2)
        torch.bmm(operands, direction.step, out=self.tangents[:, 1:].flatten(1, 2))
        lengths = None if self.output_steps is None else self.lengths
        self._launch.run_tangents(self.tangents, self.rows, self.theta_weights.step, lengths, self._name)
