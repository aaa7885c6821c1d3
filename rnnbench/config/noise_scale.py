"""The scale of input weights at which what a net remembers of its inputs does not depend on their number."""

import math

from omegaconf import OmegaConf


def register_noise_scale() -> None:
    """Register the resolver `${noise_scale:VARIANCE,STEPS}`: sqrt(VARIANCE / STEPS), to four digits.

    A net that remembers adds up its inputs, so that those of STEPS steps move its states with STEPS times the variance
    of one. With these input weights the sum has the same variance for every length.
    """
    OmegaConf.register_new_resolver("noise_scale", noise_scale, replace=True)


def noise_scale(variance: float, steps: int) -> float:
    """The standard deviation of the input weights: sqrt(variance / steps), to four digits.

    Args:
        variance: Sum over the steps of the weights' variance.
        steps: Number of steps; less than 1 counts as 1, since the limits of keys are checked later.
    """
    return float(f"{math.sqrt(variance / max(steps, 1)):.4g}")
