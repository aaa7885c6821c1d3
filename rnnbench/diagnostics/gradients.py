"""Numbers that say how a gradient stands to other gradients, to steps and to its own noise.

Letters: R replicas, P parameters of one replica, B sequences.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


def cosine(first: Tensor, second: Tensor) -> Tensor:
    """Cosine of the angle between two vectors of each replica, (R, P) each -> (R,), float64; NaN for a zero vector."""
    first, second = first.double(), second.double()
    cosines: Tensor = torch.linalg.vecdot(first, second) / (first.norm(dim=1) * second.norm(dim=1))
    return cosines


def was_clipped(gradient: Tensor, clipped: Tensor) -> Tensor:
    """1 where clipping changed a replica's gradient, else 0: (R, P) before and after -> (R,), float64.

    NaN for a gradient that is not finite.
    """
    return torch.where(gradient.isfinite().all(1), (gradient != clipped).any(1).double(), torch.nan)


@dataclass(frozen=True)
class NoiseScale:
    """The noise of gradients of single sequences against the gradient of all, for each replica.

    Attributes:
        trace: Estimate of tr(Sigma), the variances of a single sequence's gradient, summed over parameters, (R,).
        signal: Estimate of |G|^2, the squared norm of the gradient without noise, (R,); noise can take it below 0.
    """

    trace: Tensor
    signal: Tensor

    @property
    def scale(self) -> Tensor:
        """tr(Sigma) / |G|^2 in sequences, (R,): the batch size of equal noise and signal; NaN where signal <= 0."""
        return torch.where(self.signal > 0, self.trace / self.signal, torch.nan)


def simple_noise_scale(squared_small: Tensor, small: int, squared_big: Tensor, big: int) -> NoiseScale:
    """The simple noise scale from squared gradient norms at two batch sizes.

    The gradient of B sequences has the expected squared norm |G|^2 + tr(Sigma) / B; two sizes give both unknowns, each
    without bias. The mean over many updates of `trace` and of `signal`, each for itself, is better than that of scales.

    Args:
        squared_small: Mean squared norm of the gradients of small batches, (R,).
        small: Their size; 1 for single sequences.
        squared_big: Squared norm of the gradient of a big batch, (R,); it may contain the small ones.
        big: Its size, above `small`.

    Raises:
        ValueError: big is not above small.

    Source: McCandlish, Kaplan, Amodei et al. (2018), arXiv 1812.06162, appendix A.1.
    """
    if big <= small:
        raise ValueError(f"the big batch must be larger than the small one's {small} sequences, got {big}")
    trace = (squared_small - squared_big) / (1 / small - 1 / big)
    return NoiseScale(trace, (big * squared_big - small * squared_small) / (big - small))
