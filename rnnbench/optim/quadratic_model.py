"""The damped quadratic model of the loss around theta.

Letters: R replicas, P parameters of one replica.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.objective.second_order import Curvature, SecondOrderObjective


@dataclass(frozen=True)
class Penalized:
    """A batch's loss with L2 weight decay: loss(theta) + weight_decay |theta|^2 / 2.

    Attributes:
        objective: The batch.
        weight_decay: (R, 1), float64.
    """

    objective: SecondOrderObjective
    weight_decay: Tensor

    def loss(self, theta: Tensor) -> Tensor:
        """(R,), float64."""
        return self.objective.loss(theta) + self.penalty(theta)

    def penalty(self, theta: Tensor) -> Tensor:
        """weight_decay |theta|^2 / 2, (R,), float64."""
        return 0.5 * self.weight_decay.squeeze(1) * theta.double().square().sum(1)

    def gradient(self, theta: Tensor, of_loss: Tensor) -> Tensor:
        """The gradient (R, P) at theta, given the gradient of the loss without weight decay."""
        return torch.addcmul(of_loss, self.weight_decay.to(theta.dtype), theta)


@dataclass(frozen=True)
class Damping:
    """The damping of a step.

    Attributes:
        diagonal: Added to the diagonal of the curvature, (R, 1) or (R, P), float64.
        structural: Weight of the structural-damping matrix, (R, 1), float64; None: without it.
        normalization: Mean that the structural-damping matrix is, as in `SecondOrderObjective.linearize`.
    """

    diagonal: Tensor
    structural: Tensor | None
    normalization: str


class QuadraticModel:
    """q(d) = g^T d + d^T A d / 2 with A = G + weight_decay I + diag(damping) + weight * S.

    G and S are those of one batch at theta, g is a gradient there, weight decay included.

    Args:
        batch: The curvature batch.
        theta: (R, P).
        gradient: g, (R, P).
        damping: Damping of this update.

    Attributes:
        loss: Loss of the batch at theta, weight decay included, (R,), float64.
        diagonal: Weight decay plus diagonal damping, (R, 1) or (R, P), float64.
    """

    def __init__(self, batch: Penalized, theta: Tensor, gradient: Tensor, damping: Damping) -> None:
        self.gradient = gradient
        self._curvature: Curvature = batch.objective.linearize(theta, damping.structural, damping.normalization)
        self._weight_decay = batch.weight_decay
        self.loss = self._curvature.loss + batch.penalty(theta)
        self.diagonal = damping.diagonal + batch.weight_decay
        self._scale = self.diagonal.to(theta.dtype)
        self._rows, self._packed = list(range(len(theta))), self._curvature
        self._index: Tensor | None = None  # of the rows, once some are left out

    def product(self, vector: Tensor, active: Sequence[bool] | None = None) -> Tensor:
        """A v, (R, P); see `GaussNewton.product`.

        Once half of the replicas that share blocks have stopped, the others are moved into smaller blocks.
        """
        if active is None:
            return self._curvature.product(vector).addcmul_(vector, self._scale)
        if self._packed.shares_blocks and 0 < sum(active) <= len(self._rows) // 2:
            self._rows = [row for row, is_active in enumerate(active) if is_active]
            self._index = torch.tensor(self._rows, device=vector.device)
            self._packed = self._curvature.replicas(self._index)
        if self._index is None:
            return self._packed.product(vector, active).addcmul_(vector, self._scale)
        image = torch.zeros_like(vector)
        image[self._index] = self._packed.product(vector[self._index], [active[row] for row in self._rows])
        return image.addcmul_(vector, self._scale)

    def undamped_value(self, step: Tensor) -> Tensor:
        """Q at a step (R, P) without any damping, (R,), float64. Cost: one linearized forward sweep."""
        linear = (self.gradient * step).sum(1, dtype=torch.float64)
        curved = self._curvature.quadratic_form(step)
        return linear + 0.5 * (curved + self._weight_decay.squeeze(1) * step.double().square().sum(1))
