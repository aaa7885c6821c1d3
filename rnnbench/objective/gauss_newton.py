"""The Gauss-Newton matrix of a batch, with structural damping, as a product.

Letters as in `rnnbench.objective.objective`.
"""

import weakref
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from rnnbench.objective.blocked_batch import BlockedBatch


class GaussNewton:
    """The Gauss-Newton matrix of an objective at one theta, with structural damping, as a product.

    G = mean over sequences and outputs of J^T H J, where J is the Jacobian of an output with respect to theta and H the
    Hessian of its loss at that output; symmetric, and positive semi-definite since the losses are convex in the
    outputs. Structural damping adds weight * S, where S is the model's; for the simple recurrent net

        S = mean over sequences of sum over t of J_a(t)^T diag(f'(a_t)) J_a(t),

    where J_a(t) is the Jacobian of the pre-activations a_t. diag(f') is the Hessian of the matching loss of the
    nonlinearity; for tanh it is 1 - h^2, the cross-entropy between (1 + h)/2 before and after a step. For other models
    see `rnnbench.models.cell_sweeps`.

    Args:
        objective: The loss of the batch.
        theta: (R, P).
        structural_damping: weight, (R, 1); None: without structural damping.
        normalization: Mean that S is - "batch": over the sequences, a sum over the steps; "batch_time": over both;
            "loss": divided by the number of outputs of the batch, as the loss is.

    Attributes:
        loss: Loss of the batch at theta, (R,), float64.

    Source: Schraudolph (2002), Neural Computation 14; Martens and Sutskever (2011), ICML, section 3.2.
    """

    def __init__(
        self, objective: BlockedBatch, theta: Tensor, structural_damping: Tensor | None, normalization: str
    ) -> None:
        self.engine, self.objective = objective.engine, objective
        self.theta_shape = theta.shape
        self._made_of = theta, structural_damping, normalization
        weights = self.engine.model.weights(theta)
        self._blocks = self.engine.map(lambda block: objective.forward(block, weights), objective.blocks)
        weakref.finalize(self, self.engine.give_back, [sweeps for sweeps, _, _ in self._blocks])
        self.structural: Tensor | None = None
        if structural_damping is not None:
            weight = structural_damping / _structural_divisor(normalization, objective)
            self.structural = weight.to(theta.dtype).unsqueeze(-1)  # (R, 1, 1)
        self.loss = torch.zeros(theta.shape[0], dtype=torch.float64, device=theta.device)
        for block, (_, outputs, batch) in zip(objective.blocks, self._blocks, strict=True):
            values = objective.loss_function.values(outputs, batch.targets).sum((0, 2), dtype=torch.float64)
            self.loss[block.replicas] += values / objective.num_outputs

    def product(self, vector: Tensor, active: Sequence[bool] | None = None) -> Tensor:
        """Multiply each replica's matrix by one vector.

        Args:
            vector: One direction per replica, (R, P), theta's dtype and device.
            active: Which replicas are needed; the rows of the others may be zero.

        Returns:
            (G + weight * S) @ vector for each replica, (R, P). A new tensor.

        Raises:
            ValueError: The vector's shape is not theta's.

        Cost: one linearized forward and one backward sweep, about one gradient of the same batch for the simple
        recurrent net and 1.5 for other cells.
        """
        if vector.shape != self.theta_shape:
            raise ValueError(f"expected a vector of theta's shape {tuple(self.theta_shape)}, got {tuple(vector.shape)}")
        objective, direction = self.objective, self.engine.model.weights(vector)

        def run(index: int) -> Tensor | None:
            block, (sweeps, outputs, _) = objective.blocks[index], self._blocks[index]
            if active is not None and not any(active[block.replicas]):
                return None
            own = self.engine.model.slice_weights(direction, block.replicas)
            structural = None if self.structural is None else self.structural[block.replicas]
            return sweeps.curvature_product(own, objective.loss_function, outputs, objective.num_outputs, structural)

        result = torch.zeros_like(vector)
        pieces = self.engine.map(run, range(len(objective.blocks)))
        for block, piece in zip(objective.blocks, pieces, strict=True):
            if piece is not None:
                result[block.replicas] += piece
        return result

    @property
    def shares_blocks(self) -> bool:
        """Whether a block holds several replicas: an inactive one costs time until its whole block is inactive."""
        return any(block.replicas.stop - block.replicas.start > 1 for block in self.objective.blocks)

    def replicas(self, rows: Tensor) -> Self:
        """The matrices of some replicas, by their rows, int64. Cost: a forward sweep of theirs."""
        theta, weight, normalization = self._made_of
        weight = None if weight is None else weight[rows]
        return type(self)(self.objective.replicas(rows), theta[rows], weight, normalization)

    def quadratic_form(self, vector: Tensor) -> Tensor:
        """v^T G v of each replica, without structural damping, (R,), float64.

        Args:
            vector: v, (R, P), theta's dtype and device.

        Cost: one linearized forward sweep.
        """
        objective, direction = self.objective, self.engine.model.weights(vector)

        def run(index: int) -> Tensor:
            block, (sweeps, outputs, _) = objective.blocks[index], self._blocks[index]
            own = self.engine.model.slice_weights(direction, block.replicas)
            tangents = sweeps.linearized_forward(own, for_damping=False)
            curved = objective.loss_function.hessian_product(outputs, tangents)
            return (tangents * curved).sum((0, 2, 3), dtype=torch.float64)

        result = torch.zeros(len(vector), dtype=torch.float64, device=vector.device)
        pieces = self.engine.map(run, range(len(objective.blocks)))
        for block, piece in zip(objective.blocks, pieces, strict=True):
            result[block.replicas] += piece / objective.num_outputs
        return result


def _structural_divisor(normalization: str, objective: BlockedBatch) -> int:
    """Divisor of the sum over all sequences and steps that structural damping is."""
    match normalization:
        case "batch_time":
            return objective.size * objective.num_steps
        case "loss":
            return objective.num_outputs
    return objective.size
