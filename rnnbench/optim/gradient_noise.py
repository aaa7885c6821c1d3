"""Noise that is added to the gradient.

Letters: R replicas, P parameters of one replica.
"""

from dataclasses import dataclass

from torch import Tensor

from rnnbench.optim.per_replica import PerReplica
from rnnbench.tasks.base import Stream, normal_vectors


@dataclass(frozen=True, eq=False, kw_only=True)
class GradientNoise(PerReplica):
    """Independent normal numbers of variance eta / (1 + t)^gamma at update t, from 0.

    They are a pure function of the replica's seed and the update, so they depend neither on the other replicas nor on
    interruptions.

    Attributes:
        variance: (R, 1), float64, eta; 0: no noise.
        decay: (R, 1), float64, gamma; 0: the variance stays as it is.
        seeds: (R,), int64, seed of each replica, on the CPU.

    Source: Neelakantan et al. (2015), arXiv:1511.06807, section 2.
    """

    variance: Tensor
    decay: Tensor
    seeds: Tensor

    def add(self, gradient: Tensor, update: int) -> Tensor:
        """The gradient with the noise of an update, (R, P), a new tensor.

        Args:
            gradient: (R, P); not changed.
            update: Index of the update, from 0.
        """
        own, size = self.on(gradient.device), gradient.shape[1]
        numbers = normal_vectors(self.seeds.tolist(), Stream.GRADIENT_NOISE, update, size, like=gradient)
        deviation = (own.variance / (1 + update) ** own.decay).sqrt().to(gradient.dtype)
        return gradient.addcmul(deviation, numbers)
