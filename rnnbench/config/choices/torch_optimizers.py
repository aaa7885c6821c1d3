"""The keys of the optimizers from torch.optim and pytorch-optimizer. Fields as in `rnnbench.config.schema`.

Values and names are those of the classes, with two exceptions: `lr` has defaults of its own, and Shampoo computes its
roots at every tenth update, since they take most of its time; the class does so at every update.
"""

from dataclasses import dataclass

from rnnbench.config.choices.first_order import FirstOrderConfig
from rnnbench.config.declaration import choice
from rnnbench.config.option import option, other_default

DECOUPLED = "weight decay, which shrinks the parameters directly, apart from the gradient"
DENOMINATOR = "added to the denominator"


@choice("optim", "rmsprop")
@dataclass
class RmspropConfig(FirstOrderConfig):
    """RMSprop."""

    lr: float = other_default(FirstOrderConfig, "lr", 1e-3)
    alpha: float = option(0.99, "decay rate of the mean square", low=0, below=1, per_replica=True)
    eps: float = option(1e-8, DENOMINATOR, above=0, per_replica=True)
    momentum: float = option(0.0, "momentum of the scaled gradient", low=0, below=1, per_replica=True)
    centered: bool = option(False, "divide by an estimate of the gradient's standard deviation")


@choice("optim", "adamw")
@dataclass
class AdamwConfig(FirstOrderConfig):
    """Adam with decoupled weight decay."""

    lr: float = other_default(FirstOrderConfig, "lr", 1e-3)
    weight_decay: float = other_default(FirstOrderConfig, "weight_decay", 0.01, DECOUPLED)
    betas: list[float] = option(  # noqa: RUF009 - a field
        [0.9, 0.999], "decay rates of the two moments", low=0, below=1, per_replica=True
    )
    eps: float = option(1e-8, DENOMINATOR, above=0, per_replica=True)
    amsgrad: bool = option(False, "divide by the largest mean square so far")


@choice("optim", "adagrad")
@dataclass
class AdagradConfig(FirstOrderConfig):
    """Adagrad."""

    lr: float = other_default(FirstOrderConfig, "lr", 1e-2)
    lr_decay: float = option(0.0, "decay of the learning rate: lr / (1 + updates * lr_decay)", low=0, per_replica=True)
    initial_accumulator_value: float = option(0.0, "first sum of squares", low=0, per_replica=True)
    eps: float = option(1e-10, DENOMINATOR, above=0, per_replica=True)


@choice("optim", "lion")
@dataclass
class LionConfig(FirstOrderConfig):
    """Steps by the sign of a momentum."""

    lr: float = other_default(FirstOrderConfig, "lr", 1e-4)
    weight_decay: float = other_default(FirstOrderConfig, "weight_decay", 0.0, DECOUPLED)
    betas: list[float] = option(  # noqa: RUF009 - a field
        [0.9, 0.99], "decay rates of the step and of the momentum", low=0, below=1, per_replica=True
    )


@choice("optim", "muon")
@dataclass
class MuonConfig(FirstOrderConfig):
    """Orthogonalized momentum for the recurrent weights, AdamW for the rest."""

    lr: float = other_default(FirstOrderConfig, "lr", 1e-2, "learning rate of Muon")
    weight_decay: float = other_default(FirstOrderConfig, "weight_decay", 0.0, DECOUPLED)
    momentum: float = option(0.95, "momentum of Muon", low=0, below=1, per_replica=True)
    ns_steps: int = option(5, "Newton-Schulz iterations that orthogonalize the momentum", low=1)
    adamw_lr: float = option(1e-3, "learning rate of AdamW", low=0, per_replica=True)
    adamw_betas: list[float] = option(  # noqa: RUF009 - a field
        [0.9, 0.95], "decay rates of AdamW's two moments", low=0, below=1, per_replica=True
    )
    adamw_eps: float = option(1e-8, "added to AdamW's denominator", above=0, per_replica=True)


@choice("optim", "soap")
@dataclass
class SoapConfig(FirstOrderConfig):
    """Adam in the eigenbases of Shampoo's preconditioners."""

    lr: float = other_default(FirstOrderConfig, "lr", 3e-3)
    weight_decay: float = other_default(FirstOrderConfig, "weight_decay", 0.0, DECOUPLED)
    betas: list[float] = option(  # noqa: RUF009 - a field
        [0.95, 0.95], "decay rates of the two moments; the second also of the preconditioners", low=0, below=1
    )
    precondition_frequency: int = option(10, "updates between two eigenbases", low=1)
    eps: float = option(1e-8, DENOMINATOR, above=0, per_replica=True)


@choice("optim", "shampoo")
@dataclass
class ShampooConfig(FirstOrderConfig):
    """Gradients preconditioned by roots of the sums of their outer products."""

    lr: float = other_default(FirstOrderConfig, "lr", 1e-2)
    momentum: float = option(0.0, "momentum of the gradient", low=0, below=1, per_replica=True)
    preconditioning_compute_steps: int = option(
        10, "updates between two roots; before the first, parameters stay as they are", low=1
    )
    matrix_eps: float = option(1e-6, "first value of the sums' diagonals", above=0, per_replica=True)


@choice("optim", "psgd_kron")
@dataclass
class PsgdKronConfig(FirstOrderConfig):
    """Preconditioned SGD with Kronecker-factored preconditioners."""

    lr: float = other_default(FirstOrderConfig, "lr", 1e-3)
    weight_decay: float = other_default(FirstOrderConfig, "weight_decay", 0.0, DECOUPLED)
    momentum: float = option(0.9, "momentum of the gradient", low=0, below=1, per_replica=True)


@choice("optim", "schedule_free_adamw")
@dataclass
class ScheduleFreeAdamwConfig(FirstOrderConfig):
    """AdamW whose averaged weights are evaluated, which replaces a schedule."""

    lr: float = other_default(FirstOrderConfig, "lr", 2.5e-3)
    weight_decay: float = other_default(FirstOrderConfig, "weight_decay", 0.0, DECOUPLED)
    betas: list[float] = option(  # noqa: RUF009 - a field
        [0.9, 0.999], "share of the average in the training weights; decay rate of the mean square", low=0, below=1
    )
    warmup_steps: int = option(0, "updates of the linear warm-up", low=0)
    eps: float = option(1e-8, DENOMINATOR, above=0, per_replica=True)
