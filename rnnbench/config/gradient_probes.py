"""The schema of the probes of gradients and curvature."""

from dataclasses import dataclass

from rnnbench.config.option import option
from rnnbench.config.schema import Probe


@dataclass
class GradientByLagProbe(Probe):
    """The gradient of the weights, as a sum over the lags of the steps that it comes from."""

    num_sequences: int = option(32, "sequences of each replica", low=1)
    picture_every: int = option(10, "draw at every k-th logged update; 0: never", low=0)


@dataclass
class GradientNoiseProbe(Probe):
    """Noise of the gradients of single sequences, against the gradient of the batch."""

    num_sequences: int = option(32, "sequences of each replica whose own gradients are taken", low=1)


@dataclass
class CurvatureProbe(Probe):
    """Extreme eigenvalues of the Gauss-Newton matrix and of the Hessian; gradient and steps along eigenvectors."""

    num_sequences: int = option(32, "sequences of each replica on which the curvature is taken", low=1)
    num_iterations: int = option(20, "of Lanczos, for each of the two matrices", low=1)
    num_eigenvectors: int = option(10, "of the Gauss-Newton matrix, by the largest eigenvalues", low=1)
    lr: float | None = option(
        None, "of the gradient descent and momentum that are compared; null: 1 / largest eigenvalue", above=0
    )
    momentum: float = option(0.9, "of the momentum that is compared", low=0, below=1)
    damping: float | None = option(
        None, "of the Newton step that is compared; null: hf's own, else 0.001 times the largest eigenvalue", low=0
    )
    picture_every: int = option(10, "draw at every k-th logged update; 0: never", low=0)
