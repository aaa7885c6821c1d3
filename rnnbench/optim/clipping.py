"""Clipping of gradients, replica by replica.

Letters: R replicas, P parameters of one replica. An infinite limit leaves the gradient unchanged, bit for bit.
"""

import torch
from torch import Tensor


def clip_by_norm(gradient: Tensor, max_norm: Tensor) -> Tensor:
    """Rescale each replica's gradient to at most a Euclidean norm: g * min(1, max_norm / |g|).

    The norm is over all parameters and in float64, since the square of an entry above 1e19 overflows float32. As
    torch.nn.utils.clip_grad_norm_, but without the 1e-6 that torch adds to |g|: the norm of a clipped gradient is
    exactly max_norm.

    Args:
        gradient: (R, P); not changed.
        max_norm: (R, 1), > 0, in the gradient's dtype and on its device.

    Returns:
        (R, P), a new tensor. A row whose norm is not finite is left as it is.

    Source: Pascanu, Mikolov and Bengio (2013), ICML, algorithm 1.
    """
    norm: Tensor = torch.linalg.vector_norm(gradient, dim=1, keepdim=True, dtype=torch.float64)
    # Scaling by an infinite norm would set finite entries to 0 and hide the divergence.
    scale = (max_norm / norm).clamp_(max=1).masked_fill_(~norm.isfinite(), 1)
    return gradient * scale.to(gradient.dtype)


def clip_by_value(gradient: Tensor, max_value: Tensor) -> Tensor:
    """Clamp every entry of each replica's gradient to [-max_value, max_value]; as torch.nn.utils.clip_grad_value_.

    Args:
        gradient: (R, P); not changed.
        max_value: (R, 1), > 0, in the gradient's dtype and on its device.

    Returns:
        (R, P), a new tensor. NaN stays NaN.
    """
    return torch.clamp(gradient, -max_value, max_value)
