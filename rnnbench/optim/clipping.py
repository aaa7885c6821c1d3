"""Clipping of gradients, replica by replica.

Letters: R replicas, P parameters of one replica. A limit of infinity leaves its replica as it is, bit for bit.
"""

import torch
from torch import Tensor


def clip_by_norm(gradient: Tensor, max_norm: Tensor) -> Tensor:
    """Rescale each replica's gradient to at most a Euclidean norm: g * min(1, max_norm / |g|).

    The norm is taken over all parameters, in float64: an exploding gradient, the very case that clipping is for, would
    overflow the squares of float32 from entries of 1e19 on. As torch.nn.utils.clip_grad_norm_, but for the 1e-6 that
    torch adds to |g|: a clipped gradient has the norm max_norm itself.

    Args:
        gradient: (R, P); not changed.
        max_norm: (R, 1), > 0, in the gradient's dtype and on its device.

    Returns:
        (R, P), a new tensor. A row whose norm is not finite is left as it is.

    Source: Pascanu, Mikolov and Bengio (2013), ICML, algorithm 1.
    """
    norm: Tensor = torch.linalg.vector_norm(gradient, dim=1, keepdim=True, dtype=torch.float64)
    # An infinite norm would make the finite entries 0 and the infinite ones NaN: what diverged has to stay visible.
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
