"""The Hessian of a batch's loss, as a product, for diagnostics.

Letters as in `rnnbench.objective.objective`.
"""

import torch
from torch import Tensor

from rnnbench.models.base import Model, Parameters
from rnnbench.objective.blocked_batch import BlockedBatch
from rnnbench.objective.engine import Block
from rnnbench.tasks.base import Batch


class Hessian:
    """The Hessian of an objective at one theta, as a product.

    H is the second derivative of the batch's loss with respect to theta: the Gauss-Newton matrix plus a term from the
    second derivative of the outputs. It is symmetric and in general indefinite. It is exact up to rounding for every
    model that has a `step` and every loss whose `values` are differentiable (with `relu`: almost everywhere). Autograd
    records the gradient of a plain loop over the steps, and each product differentiates it once more; the hand-derived
    sweeps are not used.

    Args:
        objective: The batch and its loss.
        theta: (R, P).

    Raises:
        NotImplementedError: The model has no `step`.

    Cost: recording costs 2 to 3 gradients of the sweeps, each product 2.5 (gated cells) to 5 (the simple net).
    Memory: 18 (the simple net) to 48 (LSTM) numbers per hidden unit, step and sequence during a product.
    """

    def __init__(self, objective: BlockedBatch, theta: Tensor) -> None:
        self.engine, self.objective, self.theta_shape = objective.engine, objective, theta.shape
        self._recorded = self.engine.map(lambda block: self._record(block, theta), objective.blocks)

    def _record(self, block: Block, theta: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of theta of a block, and its part of the gradient as a function of them; (r, P) each."""
        model, objective = self.engine.model, self.objective
        rows, batch = theta[block.replicas].detach().requires_grad_(), objective.block_batch(block)
        with torch.enable_grad():
            outputs = plain_outputs(model, model.parameters(rows), batch)
            loss = objective.loss_function.values(outputs, batch.targets).sum() / objective.num_outputs
            (gradient,) = torch.autograd.grad(loss, rows, create_graph=True)
        return rows, gradient

    def product(self, vector: Tensor) -> Tensor:
        """Multiply each replica's Hessian by one vector.

        Args:
            vector: One direction per replica, (R, P), theta's dtype and device.

        Returns:
            H @ vector for each replica, (R, P). A new tensor.

        Raises:
            ValueError: The vector's shape is not theta's.
        """
        if vector.shape != self.theta_shape:
            raise ValueError(f"expected a vector of theta's shape {tuple(self.theta_shape)}, got {tuple(vector.shape)}")

        def run(index: int) -> Tensor:
            block, (rows, gradient) = self.objective.blocks[index], self._recorded[index]
            (piece,) = torch.autograd.grad(gradient, rows, vector[block.replicas], retain_graph=True)
            return piece

        result = torch.zeros_like(vector)
        pieces = self.engine.map(run, range(len(self._recorded)))
        for block, piece in zip(self.objective.blocks, pieces, strict=True):
            result[block.replicas] += piece
        return result


def plain_outputs(model: Model, parameters: Parameters, batch: Batch) -> Tensor:
    """The readout at the output steps, (S, R, B, o), by a plain loop over the model's steps; differentiable."""
    state, hidden = model.initial_state(parameters, batch.size), []
    for inputs in batch.inputs.unbind(0):
        state = model.step(parameters, state, inputs)
        hidden.append(state[0])
    states = torch.stack(hidden)
    if batch.output_steps is not None:
        _, num_replicas, num_sequences = batch.output_steps.shape
        replicas = torch.arange(num_replicas, device=states.device).view(1, -1, 1)
        states = states[batch.output_steps, replicas, torch.arange(num_sequences, device=states.device)]
    return model.readout(parameters, states)
