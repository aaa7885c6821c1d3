"""The typed schema of the configuration: one dataclass per choice, one field per key.

Each field has a sentence of help and, where they exist, its limits; fields marked per replica may differ between the
replicas of one batched run. Importing this module needs neither torch nor Hydra.
"""

from dataclasses import dataclass, field
from typing import Any

from rnnbench.config.declaration import choice, shared
from rnnbench.config.option import option, other_default

REQUIRED = "???"  # OmegaConf's marker of a value that has to be given


@shared("model", "model")
@dataclass
class Choice:
    """What every choice of a group has: its name and the class that it builds."""

    name: str = option(REQUIRED, "name of the choice, as in its file")
    _target_: str = option(REQUIRED, "the class that it builds; its other keys are that class's arguments")


# ---------------------------------------------------------------- task


@shared("task", "task")
@dataclass
class Task(Choice):
    """A task of fixed generator, scaled to a length."""

    sequence_length: int = option(
        50, "nominal length T of the variant; docs/tasks.md has the lengths of its sequences", low=1
    )
    variant: str = option("hf11", "whose definition of the task; docs/tasks.md has the table")


@choice("task", "temporal_order")
@dataclass
class TemporalOrder(Task):
    """The order of a few relevant symbols among distractors."""

    num_symbols: int = option(2, "relevant symbols in a sequence; 2^num_symbols classes", low=2, high=3)


@choice("task", "memorization")
@dataclass
class Memorization(Task):
    """The first symbols of a sequence, after many blanks."""

    num_symbols: int = option(2, "different symbols that are to be memorized", low=2)
    num_positions: int = option(5, "symbols that are to be memorized, one at each of the first steps", low=1)


@choice("task", "latch")
@dataclass
class Latch(Task):
    """One bit that is to be held among noise."""

    sequence_length: int = other_default(Task, "sequence_length", 20, "number of steps T")
    variant: str = other_default(Task, "variant", "bengio94")
    num_positions: int = option(3, "first steps, which show the class", low=1)
    noise: float = option(0.2, "standard deviation of the noise at each later step and noise input", low=0)
    num_noise_inputs: int = option("${model.hidden_size}", "inputs of noise, one for each unit of the net", low=1)


# ---------------------------------------------------------------- model


@choice("model", "rnn")
@dataclass
class Rnn(Choice):
    """The simple recurrent net."""

    hidden_size: int = option(100, "number of hidden units n", low=1)
    nonlinearity: str = option("tanh", "of the hidden units", choices=("tanh", "relu", "linear", "sigmoid"))
    recurrence: str = option(
        "auto",
        "what runs the recurrence: torch; triton: kernels; auto: kernels on a GPU where they can run, else torch",
        choices=("auto", "torch", "triton"),
    )


@choice("model", "latch")
@dataclass
class LatchNet(Choice):
    """The simple recurrent net whose last inputs, one for each unit, are noise that no weight can turn off."""

    hidden_size: int = option(1, "number of hidden units n", low=1)
    nonlinearity: str = option("tanh", "of the hidden units", choices=("tanh", "linear"))


@dataclass
class GatedNet(Choice):
    """A net that torch has as one operation for a whole sequence, too."""

    hidden_size: int = option(100, "number of hidden units n", low=1)
    recurrence: str = option(
        "auto",
        "what runs the steps of gradients: torch: step by step; fused: torch.nn's own operation; auto: the faster one",
        choices=("auto", "torch", "fused"),
    )


@choice("model", "lstm")
@dataclass
class Lstm(GatedNet):
    """The long short-term memory."""


@choice("model", "gru")
@dataclass
class Gru(GatedNet):
    """The gated recurrent unit."""


# ---------------------------------------------------------------- init


@shared("init", "init")
@dataclass
class Init(Choice):
    """What every initialization has beside its recurrent weights."""

    input_scale: float = option(0.1, "standard deviation of the input weights", low=0, per_replica=True)
    output_scale: float = option(0.1, "standard deviation of the readout weights", low=0, per_replica=True)
    bias_scale: float = option(0.0, "standard deviation of the hidden biases", low=0, per_replica=True)
    initial_state_scale: float = option(0.0, "standard deviation of the learned initial state", low=0, per_replica=True)


@choice("init", "sparse")
@dataclass
class SparseInit(Init):
    """A few incoming weights per unit, rescaled to a spectral radius."""

    num_connections: int = option(15, "incoming recurrent weights of a unit (all where n is smaller)", low=1)
    spectral_radius: float = option(1.1, "largest eigenvalue modulus of the recurrent weights", low=0, per_replica=True)


@choice("init", "gaussian")
@dataclass
class GaussianInit(Init):
    """Independent normal recurrent weights."""

    recurrent_scale: float | None = option(
        None, "standard deviation of the recurrent weights; null: 1/sqrt(n)", low=0, per_replica=True
    )
    spectral_radius: float | None = option(
        None, "rescale to this largest eigenvalue modulus; null: leave as drawn", low=0, per_replica=True
    )


@choice("init", "orthogonal")
@dataclass
class OrthogonalInit(Init):
    """A random orthogonal matrix (Haar), times spectral_radius."""

    spectral_radius: float = option(1.0, "modulus of all eigenvalues", low=0, per_replica=True)


@choice("init", "identity")
@dataclass
class IdentityInit(Init):
    """The identity matrix, times spectral_radius."""

    spectral_radius: float = option(1.0, "all eigenvalues", low=0, per_replica=True)


# ---------------------------------------------------------------- optim


@dataclass
class Cadence:
    """How long and how often, by default, for an optimizer: its updates differ in cost by a factor of a thousand."""

    updates: int = option(REQUIRED, "default of budget.updates", low=1)
    log_every: int = option(REQUIRED, "default of record.log_every", low=1)
    evaluate_every: int = option(REQUIRED, "default of record.evaluate_every", low=1)
    checkpoint_every: int = option(REQUIRED, "default of record.checkpoint_every", low=1)


@shared("optim", "optimizer")
@dataclass
class Optimizer(Choice):
    """What every optimizer has."""

    cadence: Cadence = field(default_factory=Cadence, metadata={"help": "defaults of budget and record"})


@shared("optim", "first_order")
@dataclass
class FirstOrder(Optimizer):
    """What every first-order method has."""

    cadence: Cadence = other_default(  # noqa: RUF009 - a field
        Optimizer, "cadence", Cadence(updates=50000, log_every=100, evaluate_every=500, checkpoint_every=5000)
    )
    batch_size: int = option(100, "sequences per update and replica", low=1)
    lr: float = option(REQUIRED, "learning rate", low=0, per_replica=True)
    weight_decay: float = option(0.0, "L2 penalty added to the gradient, as in torch.optim", low=0, per_replica=True)
    clip_norm: float | None = option(
        None, "rescale the gradient to at most this Euclidean norm; null: never", above=0, per_replica=True
    )
    clip_value: float | None = option(
        None, "clamp every entry of the gradient to at most this; null: never", above=0, per_replica=True
    )


@choice("optim", "sgd")
@dataclass
class Sgd(FirstOrder):
    """Stochastic gradient descent, with classical momentum."""

    lr: float = other_default(FirstOrder, "lr", 0.01)
    clip_norm: float | None = other_default(FirstOrder, "clip_norm", 1.0)
    momentum: float = option(0.0, "classical momentum", low=0, below=1, per_replica=True)


@choice("optim", "nag")
@dataclass
class Nag(FirstOrder):
    """Nesterov's accelerated gradient."""

    lr: float = other_default(FirstOrder, "lr", 1e-3)
    form: str = option(
        "sutskever13",
        "sutskever13: gradient at the look-ahead point, velocity holds the learning rate; torch: as torch.optim.SGD",
        choices=("sutskever13", "torch"),
    )
    momentum: float = option(0.995, "momentum after the first updates", low=0, below=1, per_replica=True)
    initial_momentum: float = option(0.9, "momentum during the first updates", low=0, below=1, per_replica=True)
    initial_momentum_updates: int = option(1000, "how many updates initial_momentum holds", low=0)


@choice("optim", "adam")
@dataclass
class Adam(FirstOrder):
    """Adam."""

    lr: float = other_default(FirstOrder, "lr", 1e-3)
    betas: list[float] = option(  # noqa: RUF009 - a field
        [0.9, 0.999], "decay rates of both moments", low=0, below=1, per_replica=True
    )
    eps: float = option(1e-8, "added to the denominator", above=0, per_replica=True)


# ---------------------------------------------------------------- the run


@dataclass
class Budget:
    """When a run ends that is not solved; whichever comes first."""

    updates: int = option("${optim.cadence.updates}", "number of updates", low=1)
    sequences: int | None = option(None, "number of sequences seen by a replica, products included", low=1)
    minutes: float | None = option(None, "wall-clock minutes", above=0)


@dataclass
class Record:
    """How often."""

    log_every: int = option(
        "${cadence:log_every}", "updates between rows of metrics; by default at most 1/20 of the budget", low=1
    )
    evaluate_every: int = option(
        "${cadence:evaluate_every}", "updates between evaluations; by default at most 1/20 of the budget", low=1
    )
    checkpoint_every: int = option("${optim.cadence.checkpoint_every}", "updates between checkpoints", low=1)
    checkpoint_minutes: float | None = option(
        10.0, "wall-clock minutes after which there is one, too; null: however long updates take", above=0
    )


@dataclass
class Config:
    """A whole run."""

    task: Any = REQUIRED
    model: Any = REQUIRED
    init: Any = REQUIRED
    optim: Any = REQUIRED
    probe: Any = REQUIRED
    seed: int = option(0, "decides parameters and data of a replica", low=0, high=2**62, per_replica=True)
    device: str = option("auto", "auto, cpu, cuda or cuda:N; auto: the first GPU, else the CPU")
    cuda_graphs: str = option(
        "auto",
        "updates without a row of metrics as CUDA graphs; auto: where that can be; always: refused where it cannot",
        choices=("auto", "never", "always"),
    )
    dtype: str = option("float32", "floating-point type of parameters and states", choices=("float32", "float64"))
    threads: Any = option("auto", "worker threads on the CPU: a number, or auto: measured when the run starts", low=1)  # noqa: RUF009
    name: str = option("${task.name}_${optim.name}", "name of the run, in its folder's name")
    stop_when_solved: bool = option(True, "end the run when it is solved")
    objective: str = option(
        "updates_to_solve",
        "what a sweeper that searches, such as Optuna's, minimises",
        choices=("updates_to_solve", "loss", "error_rate"),
    )
    budget: Budget = field(default_factory=Budget)
    record: Record = field(default_factory=Record)
