"""Steps of optimizers along the eigenvectors of a quadratic model.

Along an eigenvector of curvature c, where the gradient's component is g, the model of the loss is g d + c d^2 / 2. Its
minimum lies at d = -g / c. Letters: R replicas, P parameters of one replica, k eigenvectors.
"""

import torch
from torch import Tensor


def components(vectors: Tensor, vector: Tensor) -> Tensor:
    """Components (R, k) of one vector (R, P) along unit vectors (R, k, P)."""
    return (vectors @ vector.to(vectors.dtype).unsqueeze(2)).squeeze(2)


def gradient_descent_step(gradient: Tensor, learning_rate: Tensor | float) -> Tensor:
    """-learning_rate g, (R, k), of the gradient's components (R, k)."""
    return -learning_rate * gradient


def momentum_step(gradient: Tensor, learning_rate: Tensor | float, momentum: Tensor | float) -> Tensor:
    """-learning_rate / (1 - momentum) g, (R, k): the step of momentum after many updates in the same gradient."""
    return -learning_rate / (1 - momentum) * gradient


def newton_step(gradient: Tensor, curvature: Tensor, damping: Tensor | float) -> Tensor:
    """-g / (c + damping), (R, k): Newton's step, and that of Hessian-free once conjugate gradients have converged.

    Args:
        gradient: Components (R, k).
        curvature: c, (R, k); with c + damping > 0 the step descends.
        damping: (R, 1) or a number.
    """
    return -gradient / (curvature + damping)


def progress(step: Tensor, gradient: Tensor, curvature: Tensor) -> Tensor:
    """Share of the way to the model's minimum along each eigenvector: -c d / g.

    1: at the minimum. Between 0 and 2 the model's loss falls; above 2, and below 0, it rises. The sign of an
    eigenvector does not matter. For gradient descent it is learning_rate c, for Newton's step c / (c + damping).

    Args:
        step: Components d of a step, (R, k).
        gradient: Components g, (R, k).
        curvature: c, (R, k).

    Returns:
        (R, k); NaN where there is no gradient, and no step.
    """
    return -curvature * step / gradient


def explained_share(components: Tensor, vector: Tensor) -> Tensor:
    """Share of a vector's squared norm in the space of the eigenvectors, (R,); NaN for a vector of zeros.

    Args:
        components: (R, k), along orthonormal eigenvectors.
        vector: (R, P).
    """
    return components.square().sum(1) / vector.to(components.dtype).square().sum(1)


def rayleigh_quotient(vector: Tensor, image: Tensor) -> Tensor:
    """Curvature along a vector v: v^T A v / v^T v from v and A v, both (R, P), (R,) in float64; NaN for a zero."""
    vector, image = vector.double(), image.double()
    quotient: Tensor = torch.linalg.vecdot(vector, image) / torch.linalg.vecdot(vector, vector)
    return quotient
