"""Comparisons of a gradient with other gradients, with steps and with its own noise.

Letters: R replicas, P parameters of one replica, B sequences.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """Compute the cosine between two vectors of each replica, (R, P) each -> (R,), float64; NaN for a zero vector."""
    first, second = first.double(), second.double()
    cosines: Tensor = torch.linalg.vecdot(first, second) / (first.norm(dim=1) * second.norm(dim=1))
    return cosines


def was_clipped(gradient: Tensor, clipped: Tensor) -> Tensor:
    """Return 1 for each replica whose gradient was changed by clipping, else 0, (R,), float64.

    The gradients before and after clipping are (R, P). The result is NaN for a gradient that is not finite.
    """
    return torch.where(gradient.isfinite().all(1), (gradient != clipped).any(1).double(), torch.nan)


@dataclass(frozen=True)
class NoiseScale:
    """Noise of single sequences' gradients, compared with the expected gradient, for each replica.

    Attributes:
        trace: Estimate of tr(Sigma), the variance of a single sequence's gradient, summed over parameters, (R,).
        signal: Estimate of |G|^2, the squared norm of the expected gradient, (R,); it can be negative due to noise.
    """

    trace: Tensor
    signal: Tensor

    @property
    def scale(self) -> Tensor:
        """tr(Sigma) / |G|^2 in sequences, (R,): batch size with equal noise and signal; NaN if signal <= 0."""
        return torch.where(self.signal > 0, self.trace / self.signal, torch.nan)


def simple_noise_scale(squared_small: Tensor, small: int, squared_big: Tensor, big: int) -> NoiseScale:
    """Estimate the simple noise scale from squared gradient norms at two batch sizes.

    The expected squared norm of the gradient of B sequences is |G|^2 + tr(Sigma) / B. Two batch sizes therefore give
    unbiased estimates of both unknowns. To average over updates, average `trace` and `signal` separately before
    dividing; this is more accurate than averaging scales.

    Args:
        squared_small: Mean squared norm of the gradients of small batches, (R,).
        small: Size of the small batches; 1 for single sequences.
        squared_big: Squared norm of the gradient of a big batch, (R,); it may contain the small ones.
        big: Size of the big batch, larger than `small`.

    Raises:
        ValueError: `big` is not larger than `small`.

    Source: McCandlish, Kaplan, Amodei et al. (2018), arXiv 1812.06162, appendix A.1.
    """
    if big <= small:
        raise ValueError(f"the big batch must be larger than the small one's {small} sequences, got {big}")
    trace = (squared_small - squared_big) / (1 / small - 1 / big)
    return NoiseScale(trace, (big * squared_big - small * squared_small) / (big - small))
