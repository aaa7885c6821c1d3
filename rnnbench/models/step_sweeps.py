"""Step-by-step recurrences of the simple recurrent net, by matrix products and element-wise operations.

This is the default on a CPU and the reference for the other backends. `rnnbench.models.products` computes the products.
The views of all buffers for each step are created once.

Letters as in `rnnbench.models.simple_rnn_sweeps`.
"""

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import BlockShape, Model, steps_with_outputs
from rnnbench.models.nonlinearity import Nonlinearity
from rnnbench.models.products import OuterSum, StepProducts, squeeze
from rnnbench.models.simple_rnn_sweeps import SimpleRnnSweeps, Weights, padded
from rnnbench.tasks.base import Batch

ROWS_PER_CHUNK = 2000
"""Rows (steps times sequences) that contribute to the weight gradient in one product, while they are in cache."""


class StepSweeps(SimpleRnnSweeps):
    """Sweeps of the simple recurrent net over a block, a few operations a step."""

    def __init__(self, model: Model, nonlinearity: Nonlinearity, shape: BlockShape) -> None:
        super().__init__(model, shape)
        self.backward_nonlinearity = nonlinearity.backward
        r, steps, b, n = shape.replicas, shape.steps, shape.sequences, self.n
        self.products = StepProducts(shape, self.c * n)
        self.scratch, self.second_scratch = (self._squeeze(self._buffer(r, b, n)) for _ in range(2))
        self.row_steps = [self._squeeze(x)[..., : self.c] for x in self.rows.unbind(1)]
        self.state_steps = [x[..., :n] for x in self.row_steps]
        self.activate, view = nonlinearity.fastest(shape.device)
        self.activation_source = view(self.scratch)
        self.activation_targets = [view(state) for state in self.state_steps[1:]]
        self.tangent_steps = [self._squeeze(x) for x in self.tangents.unbind(1)]
        self.gradient_steps = [self._squeeze(x) for x in self.pre_gradients.unbind(1)]
        self.row_operands, self.tangent_operands, self.gradient_operands = (
            [self.products.rows(x) for x in steps]
            for steps in (self.row_steps, self.tangent_steps, self.gradient_steps)
        )
        self.product, self.second_product = map(self.products.rows, (self.scratch, self.second_scratch))
        self.step_gradient = OuterSum(self._buffer(r, n, padded(self.c)))
        length = max(1, ROWS_PER_CHUNK // b)
        self.chunks = {
            start: self.step_gradient.chunk(
                self.pre_gradients[:, start : start + length].flatten(1, 2),
                self.rows[:, start : min(start + length, steps)].flatten(1, 2),
            )
            for start in range(0, steps, length)
        }

    def _squeeze(self, tensor: Tensor) -> Tensor:
        return squeeze(tensor, self.shape.replicas)

    @override
    def load(self, batch: Batch) -> None:
        super().load(batch)
        # A sequence may have an output at the steps from first_end to last_end; no gradient enters after last_end.
        self.first_end, self.last_end = steps_with_outputs(batch)
        self.running: Tensor | None = None
        if batch.output_steps is not None:
            steps = torch.arange(self.first_end, self.shape.steps, device=self.shape.device).view(-1, 1, 1, 1)
            running = steps < batch.lengths.unsqueeze(-1)  # (steps, r, b, 1)
            self.running = running.to(self.shape.dtype)

    @override
    def _run_states(self, weights: Weights) -> None:
        step, product, multiply = self.products.matrix(weights.step), self.product, self.products.multiply
        activate, source = self.activate, self.activation_source
        for row, following in zip(self.row_operands[:-1], self.activation_targets, strict=True):
            multiply(row, step, out=product)
            activate(source, following)

    def _inject(self, state_gradients: Tensor) -> None:
        """Write the readout's dL/dh, (S, r, b, n), into `pre_gradients` at the output steps, and zeros elsewhere."""
        if self.output_steps is None:
            self.pre_gradients.copy_(state_gradients.transpose(0, 1))
        else:
            self.pre_gradients[:, self.first_end :].zero_()
            self.pre_gradients[self.replica_index, self.output_steps, self.sequence_index] = state_gradients

    @override
    def _run_gradients(self, state_gradients: Tensor, structural: Tensor | None, distance: str) -> Tensor:
        self._inject(state_gradients)
        recurrent, scratch = self.products.matrix(self.theta_weights.recurrent), self.scratch
        pull_back = self.backward_nonlinearity
        first, last = self.first_end, self.last_end if structural is None else self.shape.steps - 1
        if structural is not None and distance == "squared_error":
            # Added to the gradients of the states, so that f' multiplies both.
            self.pre_gradients[:, :first].zero_()
            self.pre_gradients.addcmul_(self.tangents[:, 1:], structural.unsqueeze(1))
            first, structural = 0, None
        self.step_gradient.total.zero_()
        scale = None if structural is None else self._squeeze(structural)
        for t in range(last, -1, -1):
            gradient = self.gradient_steps[t]
            if t < last:
                self.products.multiply(self.gradient_operands[t + 1], recurrent, out=self.product)
                if t >= first:
                    scratch.add_(gradient)
                pull_back(scratch, self.state_steps[t + 1], gradient)
            else:
                pull_back(gradient, self.state_steps[t + 1], gradient)
            if scale is not None:
                gradient.addcmul_(self.tangent_steps[t + 1], scale)
            if t in self.chunks:
                self.step_gradient.add(self.chunks[t])
        return self.step_gradient.total

    @override
    def _run_tangents(self, direction: Weights) -> None:
        weights, push = self.theta_weights, self.backward_nonlinearity
        step, recurrent = map(self.products.matrix, (direction.step, weights.step[:, : self.n]))
        scratch, multiply = self.scratch, self.products.multiply
        for t in range(self.shape.steps):
            multiply(self.row_operands[t], step, out=self.product)
            multiply(self.tangent_operands[t], recurrent, out=self.second_product)
            scratch.add_(self.second_scratch)
            push(scratch, self.state_steps[t + 1], self.tangent_steps[t + 1])
            if self.running is not None and t >= self.first_end:
                # States after a sequence's end affect no output; they must not enter structural damping either.
                self.tangent_steps[t + 1].mul_(self._squeeze(self.running[t - self.first_end]))
