"""The keys of the probes.

The name and class of a probe are set here, because several choices of the group `probe` contain the same probe.
Fields as in `rnnbench.config.schema`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from rnnbench.config.declaration import choice, shared
from rnnbench.config.option import option
from rnnbench.config.schema import Choice

T = TypeVar("T")


def probe(name: str, target: str, **values: Any) -> Callable[[type[T]], type[T]]:
    """Declare a dataclass as the schema of a probe.

    Args:
        name: Name of the probe.
        target: Its class, as a dotted path below `rnnbench.probes`.
        values: Defaults that differ from those of the dataclass.
    """
    return choice("probe", name, name=name, _target_=f"rnnbench.probes.{target}", **values)


@shared("probe", "probe")
@probe("gradient_norm", "gradient_norm.GradientNorm")
@probe("recurrent_weight", "recurrent_weight.RecurrentWeight")
@probe("alignment", "alignment.Alignment")
@dataclass
class ProbeConfig(Choice):
    """Keys of every probe."""

    every: int = option(1, "read at every k-th logged update; 0: off", low=0)


@probe("state_gradient", "state_gradient.StateGradient")
@dataclass
class StateGradientProbeConfig(ProbeConfig):
    """dL/dh_t against the lag from the end of each sequence."""

    picture_every: int = option(10, "draw at every k-th logged update, a multiple of every; 0: never", low=0)


@probe("state_jacobian", "state_jacobian.StateJacobian")
@probe("jacobian_normality", "jacobian_normality.JacobianNormality", every=5)
@dataclass
class StateJacobianProbeConfig(ProbeConfig):
    """Eigenvalues of the state-transition Jacobian along real trajectories."""

    num_sequences: int = option(2, "sequences whose trajectories are read", low=1)
    num_steps: int = option(4, "steps read in each sequence, evenly spaced", low=1)
    picture_every: int = option(10, "draw at every k-th logged update, a multiple of every; 0: never", low=0)


@probe("jacobian_push", "jacobian_push.JacobianPush", every=5)
@dataclass
class JacobianPushProbeConfig(StateJacobianProbeConfig):
    """Growth of a small push along leading eigenvectors of the Jacobian over the next steps."""

    num_directions: int = option(2, "leading eigenvectors along which the state is pushed", low=1)
    push_size: float = option(1e-3, "norm of the push, in units of the state", above=0)
    push_steps: int = option(10, "steps to follow after the push", low=1)


@probe("jacobian_product", "jacobian_product.JacobianProduct", every=5)
@probe("lyapunov", "lyapunov.Lyapunov", every=5)
@dataclass
class TrajectoryProbeConfig(ProbeConfig):
    """Quantities along whole sequences, up to the end of each sequence."""

    num_sequences: int = option(2, "sequences whose trajectories are followed", low=1)
    picture_every: int = option(10, "draw at every k-th logged update, a multiple of every; 0: never", low=0)


@probe("gradient_by_lag", "gradient_by_lag.GradientByLag")
@dataclass
class GradientByLagProbeConfig(ProbeConfig):
    """The gradient of the weights, split by the lag of the steps that contribute to it."""

    num_sequences: int = option(32, "sequences of each replica", low=1)
    picture_every: int = option(10, "draw at every k-th logged update, a multiple of every; 0: never", low=0)


@probe("gradient_noise", "gradient_noise.GradientNoise", every=5)
@dataclass
class GradientNoiseProbeConfig(ProbeConfig):
    """Noise of the gradients of single sequences, against the gradient of the batch."""

    num_sequences: int = option(32, "sequences of each replica whose gradients are computed", low=1)


@probe("curvature", "curvature.Curvature", every=10)
@dataclass
class CurvatureProbeConfig(ProbeConfig):
    """Extreme eigenvalues of the Gauss-Newton matrix and of the Hessian; gradient and steps along eigenvectors."""

    num_sequences: int = option(32, "sequences of each replica on which the curvature is computed", low=1)
    num_iterations: int = option(20, "Lanczos iterations for each of the two matrices", low=1)
    num_eigenvectors: int = option(10, "leading eigenvectors of the Gauss-Newton matrix", low=1)
    lr: float | None = option(
        None, "learning rate of the compared gradient descent and momentum; null: 1 / largest eigenvalue", above=0
    )
    momentum: float = option(0.9, "momentum of the compared momentum method", low=0, below=1)
    damping: float | None = option(
        None, "damping of the compared Newton step; null: that of hf, else 0.001 times the largest eigenvalue", low=0
    )
    picture_every: int = option(10, "draw at every k-th logged update, a multiple of every; 0: never", low=0)
