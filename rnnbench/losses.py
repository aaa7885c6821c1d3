"""Losses of an output: value, gradient and Hessian product, in closed form.

The loss of a replica is the mean of the losses of its S B outputs: S in each of B sequences.
Letters: R replicas, S outputs of a sequence, B sequences, o output units.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from typing_extensions import override


class Loss(ABC):
    """A convex function of one output vector and its target."""

    @abstractmethod
    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Loss of each output.

        Args:
            outputs: (S, R, B, o).
            targets: As in `rnnbench.tasks.base.Batch`.

        Returns:
            (S, R, B).
        """

    @abstractmethod
    def gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Derivative of each output's loss with respect to that output, (S, R, B, o)."""

    def hessian_product(self, outputs: Tensor, vectors: Tensor) -> Tensor:
        """Hessian of each output's loss with respect to that output, times a vector: (S, R, B, o).

        Only second-order methods need it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no Hessian product")


def mean_of(values: Tensor) -> Tensor:
    """Loss of each replica, (R,), float64: the mean of its outputs' losses (S, R, B)."""
    return values.mean(dim=(0, 2), dtype=torch.float64)


class SquaredError(Loss):
    """|z - y|^2, summed over the output's units, without a factor 1/2: adding's constant predictor has loss 1/6."""

    @override
    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().sum(-1)

    @override
    def gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return 2 * (outputs - targets)

    @override
    def hessian_product(self, outputs: Tensor, vectors: Tensor) -> Tensor:
        return 2 * vectors


class SoftmaxCrossEntropy(Loss):
    """Negative log-likelihood of the target class under softmax(z), in nats; the Hessian is diag(p) - p p^T."""

    @override
    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return -torch.log_softmax(outputs, -1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)

    @override
    def gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        gradient = torch.softmax(outputs, -1)
        ones = torch.ones_like(targets, dtype=outputs.dtype).unsqueeze(-1)
        return gradient.scatter_add_(-1, targets.unsqueeze(-1), -ones)

    @override
    def hessian_product(self, outputs: Tensor, vectors: Tensor) -> Tensor:
        probabilities = torch.softmax(outputs, -1)
        weighted = probabilities * vectors
        return weighted - probabilities * weighted.sum(-1, keepdim=True)


class SigmoidCrossEntropy(Loss):
    """Negative log-likelihood, in nats, of targets 0 or 1 under sigmoid(z), summed over the output's units.

    The Hessian is diag(p (1 - p)).
    """

    @override
    def values(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return torch.nn.functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none").sum(-1)

    @override
    def gradient(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return torch.sigmoid(outputs) - targets

    @override
    def hessian_product(self, outputs: Tensor, vectors: Tensor) -> Tensor:
        probabilities = torch.sigmoid(outputs)
        return probabilities * (1 - probabilities) * vectors


LOSSES: dict[str, Loss] = {
    "squared_error": SquaredError(),
    "softmax_cross_entropy": SoftmaxCrossEntropy(),
    "sigmoid_cross_entropy": SigmoidCrossEntropy(),
}
"""Name -> loss, for the losses that a task can name."""


def loss_of(loss: str | Loss) -> Loss:
    """The loss of a task: one of `LOSSES` by its name, or a loss of the task's own.

    Raises:
        ValueError: There is no such loss.
    """
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, or a Loss, got {loss!r}")
    return LOSSES[loss]
