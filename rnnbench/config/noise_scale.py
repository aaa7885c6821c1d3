"""The scale of input weights with which the sum of the inputs has the same variance for every sequence length."""

import math

from omegaconf import OmegaConf


def register_noise_scale() -> None:
    """Register the resolver `${noise_scale:VARIANCE,STEPS}`: sqrt(VARIANCE / STEPS), to four digits.

    A net that remembers adds up its inputs: their sum over STEPS steps has STEPS times the variance of one of them.
    """
    OmegaConf.register_new_resolver("noise_scale", noise_scale, replace=True)


def noise_scale(variance: float, steps: int) -> float:
    """The standard deviation of the input weights: sqrt(variance / steps), to four digits.

    Args:
        variance: Number of steps times the variance of an input weight.
        steps: Number of steps; less than 1 counts as 1, since the limits of keys are checked later.
    """
    return float(f"{math.sqrt(variance / max(steps, 1)):.4g}")
