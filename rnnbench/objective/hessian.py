"""The Hessian of a batch's loss, as a product.

Letters as in `rnnbench.objective.objective`.
"""

import torch
from torch import Tensor

from rnnbench.losses import Loss
from rnnbench.models.base import Model, Parameters
from rnnbench.objective.blocked_batch import BlockedBatch
from rnnbench.objective.engine import Block
from rnnbench.tasks.base import Batch


class Hessian:
    """The Hessian of an objective at one theta, as a product.

    H is the second derivative of the batch's loss with respect to theta: the Gauss-Newton matrix plus a term from the
    second derivative of the outputs. It is symmetric and in general indefinite. It is exact up to rounding (with
    `relu`: almost everywhere).

    A model that `has_hessian_sweeps`, such as the simple recurrent net, multiplies by hand-derived sweeps. For any
    other model with a `step`, and for a loss without `hessian_product`, autograd records the gradient of a plain loop
    over the steps, and each product differentiates it once more.

    Args:
        objective: The batch and its loss.
        theta: (R, P).

    Raises:
        NotImplementedError: The model has neither such sweeps nor a `step`.

    Cost: of the simple recurrent net, 8/3 (native kernels) to 3 gradients a product. By autograd, recording and one
    product cost 13 to 22 gradients of the LSTM's native kernels, further products less.
    Memory: by autograd, 18 (the simple net) to 48 (LSTM) numbers per hidden unit, step and sequence during a product.
    """

    def __init__(self, objective: BlockedBatch, theta: Tensor) -> None:
        self.engine, self.objective, self.theta_shape = objective.engine, objective, theta.shape
        self.weights = self.engine.model.weights(theta)
        has_product = type(objective.loss_function).hessian_product is not Loss.hessian_product
        self.is_swept = self.engine.model.has_hessian_sweeps and has_product
        self._recorded: list[tuple[Tensor, Tensor]] = []
        if not self.is_swept:
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
        objective, direction = self.objective, self.engine.model.weights(vector)

        def run(index: int) -> Tensor:
            block = objective.blocks[index]
            if not self.is_swept:
                rows, gradient = self._recorded[index]
                (piece,) = torch.autograd.grad(gradient, rows, vector[block.replicas], retain_graph=True)
                return piece
            sweeps, outputs, batch = objective.forward(block, self.weights)
            own = self.engine.model.slice_weights(direction, block.replicas)
            piece = sweeps.hessian_product(own, objective.loss_function, outputs, batch.targets, objective.num_outputs)
            self.engine.give_back([sweeps])
            return piece

        result = torch.zeros_like(vector)
        pieces = self.engine.map(run, range(len(objective.blocks)))
        for block, piece in zip(objective.blocks, pieces, strict=True):
            result[block.replicas] += piece
        return result


def plain_outputs(model: Model, parameters: Parameters, batch: Batch) -> Tensor:
    """The readout at the output steps, (S, R, B, o), by a plain loop over the model's steps; differentiable."""
    state, hidden = model.initial_state(parameters, batch.size), []
    effective = model.effective_parameters(parameters)
    for inputs in batch.inputs.unbind(0):
        state = model.step(effective, state, inputs)
        hidden.append(state[0])
    states = torch.stack(hidden)
    if batch.output_steps is not None:
        _, num_replicas, num_sequences = batch.output_steps.shape
        replicas = torch.arange(num_replicas, device=states.device).view(1, -1, 1)
        states = states[batch.output_steps, replicas, torch.arange(num_sequences, device=states.device)]
    return model.readout(parameters, states)
