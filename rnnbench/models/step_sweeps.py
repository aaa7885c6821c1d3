"""The recurrences of the simple recurrent net step by step, in torch: the reference for the kernels.

    forward     a_t  = W_step^T [h_{t-1}, x_t, 1],  h_t = f(a_t)
    backward    dL/da_t = f'(a_t) (W_hh^T dL/da_{t+1} + dL/dh_t of the outputs at step t)  [+ structural damping]
    weights     dL/dW_step^T = sum over t of dL/da_t [h_{t-1}, x_t, 1]^T
    tangents    dh_t = f'(a_t) (dW_step^T [h_{t-1}, x_t, 1] + W_hh dh_{t-1})

It serves where the kernels cannot run. Letters as in `rnnbench.models.simple_rnn_sweeps`.
"""

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import BlockShape, Model
from rnnbench.models.nonlinearity import Nonlinearity
from rnnbench.models.simple_rnn_sweeps import SimpleRnnSweeps, Weights


class StepSweeps(SimpleRnnSweeps):
    """Sweeps of the simple recurrent net over a block, a few operations a step."""

    def __init__(self, model: Model, nonlinearity: Nonlinearity, shape: BlockShape) -> None:
        super().__init__(model, nonlinearity, shape)
        self.activate, self.times_derivative = nonlinearity.forward, nonlinearity.backward

    def _states(self, t: int) -> Tensor:
        return self.rows[:, t, :, : self.n]

    @override
    def _run_states(self, weights: Weights) -> None:
        for t in range(self.shape.steps):
            pre_activations = torch.bmm(self.rows[:, t, :, : self.c], weights.step)
            self.activate(pre_activations, self._states(t + 1))

    @override
    def _run_gradients(self, state_gradients: Tensor, structural: Tensor | None) -> None:
        gradients = self.pre_gradients  # of the states until f' multiplies them
        if self.output_steps is None:
            gradients.copy_(state_gradients.transpose(0, 1))
        else:
            gradients.zero_()
            gradients[self.replica_index, self.output_steps, self.sequence_index] = state_gradients
        for t in range(self.shape.steps - 1, -1, -1):
            if t + 1 < self.shape.steps:
                gradients[:, t].baddbmm_(gradients[:, t + 1], self.theta_weights.recurrent)
            self.times_derivative(gradients[:, t], self._states(t + 1), gradients[:, t])
            if structural is not None:
                gradients[:, t].addcmul_(self.tangents[:, t + 1], structural)

    @override
    def _outer_products(self, pre_gradients: Tensor, rows: Tensor) -> Tensor:
        return torch.bmm(pre_gradients.flatten(1, 2).mT, rows[:, :-1].flatten(1, 2))

    @override
    def _run_tangents(self, direction: Weights) -> None:
        recurrent = self.theta_weights.step[:, : self.n]
        for t in range(self.shape.steps):
            tangents = torch.bmm(self.rows[:, t, :, : self.c], direction.step)
            tangents.baddbmm_(self.tangents[:, t], recurrent)
            self.times_derivative(tangents, self._states(t + 1), self.tangents[:, t + 1])
            if self.output_steps is not None:
                # States after a sequence's end affect no output; they must not enter structural damping either.
                self.tangents[:, t + 1].mul_((t < self.lengths).unsqueeze(-1))
