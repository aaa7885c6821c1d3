"""Steps of optimizers along the eigenvectors of a quadratic model.

Along an eigenvector of curvature c, where the gradient's component is g, the model of the loss is g d + c d^2 / 2. Its
minimum lies at d = -g / c. Letters: R replicas, P parameters of one replica, k eigenvectors.
"""

import torch
from torch import Tensor


def components(vectors: Tensor, vector: Tensor) -> Tensor:
    """Return the components (R, k) of one vector (R, P) along unit vectors (R, k, P)."""
    return (vectors @ vector.to(vectors.dtype).unsqueeze(2)).squeeze(2)


def gradient_descent_step(gradient: Tensor, learning_rate: Tensor | float) -> Tensor:
    """Return -learning_rate g, (R, k), for the gradient's components g, (R, k)."""
    return -learning_rate * gradient


def momentum_step(gradient: Tensor, learning_rate: Tensor | float, momentum: Tensor | float) -> Tensor:
    """Return -learning_rate / (1 - momentum) g, (R, k): the momentum step after many updates with one gradient."""
    return -learning_rate / (1 - momentum) * gradient


def newton_step(gradient: Tensor, curvature: Tensor, damping: Tensor | float) -> Tensor:
    """Return -g / (c + damping), (R, k): the damped Newton step, and that of Hessian-free with converged CG.

    Args:
        gradient: Components g of the gradient, (R, k).
        curvature: Curvatures c, (R, k); the step descends if c + damping > 0.
        damping: Damping, (R, 1) or a number.
    """
    return -gradient / (curvature + damping)


def progress(step: Tensor, gradient: Tensor, curvature: Tensor) -> Tensor:
    """Return the share of the way to the model's minimum along each eigenvector: -c d / g.

    1 is the minimum. Between 0 and 2 the model's loss falls; above 2 and below 0 it rises. The sign of an eigenvector
    does not matter. The progress of gradient descent is learning_rate c, that of damped Newton c / (c + damping).

    Args:
        step: Components d of a step, (R, k).
        gradient: Components g of the gradient, (R, k).
        curvature: Curvatures c, (R, k).

    Returns:
        (R, k); NaN if both gradient and step are zero.
    """
    return -curvature * step / gradient


def explained_share(components: Tensor, vector: Tensor) -> Tensor:
    """Return the share of a vector's squared norm in the span of the eigenvectors, (R,); NaN for a zero vector.

    Args:
        components: Components along orthonormal eigenvectors, (R, k).
        vector: The vector, (R, P).
    """
    return components.square().sum(1) / vector.to(components.dtype).square().sum(1)


def rayleigh_quotient(vector: Tensor, image: Tensor) -> Tensor:
    """Return the curvature along v, v^T A v / v^T v, (R,), float64, from v and A v, (R, P); NaN for a zero vector."""
    vector, image = vector.double(), image.double()
    quotient: Tensor = torch.linalg.vecdot(vector, image) / torch.linalg.vecdot(vector, vector)
    return quotient
