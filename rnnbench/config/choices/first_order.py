"""The keys of the first-order methods. Fields as in `rnnbench.config.schema`."""

from dataclasses import dataclass

from rnnbench.config.declaration import choice, shared
from rnnbench.config.option import option, other_default
from rnnbench.config.schema import REQUIRED, OptimizerConfig

NOT_FIRST_ORDER = "defaults: [/schema/optim/optimizer@_here_, _self_]"
"""Line in the file of an optimizer that does not have the keys of first-order methods."""


@shared("optim", "first_order")
@dataclass
class FirstOrderConfig(OptimizerConfig):
    """Keys of every first-order method."""

    batch_size: int = option(100, "sequences per update and replica", low=1)
    lr: float = option(REQUIRED, "learning rate", low=0, per_replica=True)
    weight_decay: float = option(0.0, "L2 penalty added to the gradient, as in torch.optim", low=0, per_replica=True)
    clip_norm: float | None = option(
        None, "largest Euclidean norm of the gradient, which is rescaled; null: no clipping", above=0, per_replica=True
    )
    clip_value: float | None = option(
        None, "largest |entry| of the gradient, whose entries are clamped; null: no clipping", above=0, per_replica=True
    )
    information_flow: float = option(
        0.0,
        "weight of the penalty on vanishing gradients (Pascanu et al. 2013, in the form of their code: alpha)",
        low=0,
        per_replica=True,
    )
    gradient_noise: float = option(
        0.0,
        "variance of normal noise added to the clipped gradient, at the first update (Neelakantan et al. 2015: eta)",
        low=0,
        per_replica=True,
    )
    gradient_noise_decay: float = option(
        0.55, "decay of this variance: gradient_noise / updates^gradient_noise_decay", low=0, per_replica=True
    )
    average_decay: float = option(
        0.0,
        "decay of an average of the weights that is evaluated beside them; 1: mean of all; 0: no average",
        low=0,
        high=1,
        per_replica=True,
    )
    average_start: int = option(0, "first updates whose weights are not averaged", low=0, per_replica=True)


@choice("optim", "sgd")
@dataclass
class SgdConfig(FirstOrderConfig):
    """Stochastic gradient descent, with classical momentum."""

    lr: float = other_default(FirstOrderConfig, "lr", 0.01)
    clip_norm: float | None = other_default(FirstOrderConfig, "clip_norm", 1.0)
    momentum: float = option(0.0, "classical momentum", low=0, below=1, per_replica=True)


@choice("optim", "nag")
@dataclass
class NagConfig(FirstOrderConfig):
    """Nesterov's accelerated gradient."""

    lr: float = other_default(FirstOrderConfig, "lr", 1e-3)
    form: str = option(
        "sutskever13",
        "sutskever13: gradient at the look-ahead point, velocity includes the learning rate; torch: as torch.optim.SGD",
        choices=("sutskever13", "torch"),
    )
    momentum: float = option(0.995, "momentum after the first updates", low=0, below=1, per_replica=True)
    initial_momentum: float = option(0.9, "momentum during the first updates", low=0, below=1, per_replica=True)
    initial_momentum_updates: int = option(1000, "number of first updates that use initial_momentum", low=0)


@choice("optim", "adam")
@dataclass
class AdamConfig(FirstOrderConfig):
    """Adam."""

    lr: float = other_default(FirstOrderConfig, "lr", 1e-3)
    betas: list[float] = option(  # noqa: RUF009 - a field
        [0.9, 0.999], "decay rates of the two moments", low=0, below=1, per_replica=True
    )
    eps: float = option(1e-8, "added to the denominator", above=0, per_replica=True)


@choice("optim", "psgd")
@dataclass
class PsgdConfig(FirstOrderConfig):
    """Gradient descent with a preconditioner fitted to the Hessian."""

    lr: float = other_default(FirstOrderConfig, "lr", 0.01)
    preconditioner: str = option(
        "low_rank",
        "low_rank: a diagonal matrix and a correction of low rank; kronecker: two factors for each parameter",
        choices=("low_rank", "kronecker"),
    )
    preconditioner_lr: float = option(0.1, "rate of the preconditioner's fit", above=0, below=1, per_replica=True)
    rank: int = option(10, "rank of the correction, if preconditioner=low_rank", low=1)
    momentum: float = option(0.0, "decay rate of the mean of the gradients", low=0, below=1, per_replica=True)
    damping: float = option(
        1e-6, "the preconditioner has no eigenvalue far above the inverse of this", above=0, per_replica=True
    )
    step_clip_norm: float | None = option(
        1.0,
        "largest Euclidean norm of the preconditioned gradient, which is rescaled; null: no clipping",
        above=0,
        per_replica=True,
    )
