"""The typed schema of the configuration: one dataclass per choice, one field per key.

Each field has a one-sentence description and may have limits. Fields marked per_replica may differ between the replicas
of a batched run. This module imports neither torch nor Hydra.
"""

import math
from dataclasses import dataclass, field
from typing import Any

from rnnbench.config.declaration import choice, shared
from rnnbench.config.option import option, other_default

REQUIRED = "???"  # OmegaConf's marker of a value that must be set

CHOICE_GROUPS = ("task", "model", "init", "optim", "schedule")
"""Groups of which a run has exactly one choice each."""

REQUIRED_GROUPS = (*CHOICE_GROUPS, "probe")
"""Groups that every run has."""


@shared("model", "model")
@dataclass
class Choice:
    """Keys of every choice: its name and its class."""

    name: str = option(REQUIRED, "name of the choice, as in its file")
    _target_: str = option(REQUIRED, "class of the object; the other keys are the arguments of this class")


# ---------------------------------------------------------------- task


@shared("task", "task")
@dataclass
class TaskConfig(Choice):
    """A task whose length is set by sequence_length."""

    sequence_length: int = option(
        50, "nominal length T; docs/tasks.md lists the sequence lengths of each variant", low=1
    )
    variant: str = option("hf11", "definition of the task, named by its paper; docs/tasks.md lists them")
    first_length: int | None = option(
        None,
        "sequence_length of the first training batches; it grows by a tenth whenever a batch is learned, see "
        "docs/tasks.md; null: all have sequence_length",
        low=1,
    )
    input_weight_scale: float = option(
        0.1,
        "default of init.input_scale with init=edge_of_chaos: standard deviation of the input weights; for numbers "
        "sqrt(2 / sequence_length)",
        low=0,
    )


@choice("task", "operands")
@dataclass
class OperandsConfig(TaskConfig):
    """A number computed from two marked ones."""

    centered: bool = option(False, "subtract their means from inputs and targets, as Sutskever et al. (2013) do")
    input_weight_scale: float = other_default(
        TaskConfig, "input_weight_scale", "${noise_scale:2,${task.sequence_length}}"
    )


@choice("task", "temporal_order")
@dataclass
class TemporalOrderConfig(TaskConfig):
    """The order of a few relevant symbols among distractors."""

    num_symbols: int = option(2, "relevant symbols in a sequence; there are 2^num_symbols classes", low=2, high=3)
    input_weight_scale: float = other_default(TaskConfig, "input_weight_scale", 0.03)


@choice("task", "memorization")
@dataclass
class MemorizationConfig(TaskConfig):
    """The first symbols of a sequence, after many blanks."""

    num_symbols: int = option(2, "number of different symbols to memorize", low=2)
    num_positions: int = option(5, "number of first steps, each of which shows a symbol to memorize", low=1)
    input_weight_scale: float = other_default(TaskConfig, "input_weight_scale", 0.03)


@choice("task", "latch")
@dataclass
class LatchConfig(TaskConfig):
    """One bit to be stored despite noise."""

    sequence_length: int = other_default(TaskConfig, "sequence_length", 20, "number of steps T")
    variant: str = other_default(TaskConfig, "variant", "bengio94")
    num_positions: int = option(3, "number of first steps, which show the class", low=1)
    noise: float = option(0.2, "standard deviation of the noise at each later step and noise input", low=0)
    num_noise_inputs: int = option("${model.hidden_size}", "noise inputs, one for each unit of the net", low=1)


@choice("task", "parity")
@dataclass
class ParityConfig(TaskConfig):
    """The parity of random bits."""

    sequence_length: int = other_default(TaskConfig, "sequence_length", 10, "number of bits T; bengio94: at most T")
    variant: str = other_default(TaskConfig, "variant", "lightbench26")


@choice("task", "copy_memory")
@dataclass
class CopyMemoryConfig(MemorizationConfig):
    """The first symbols of a sequence, after T steps."""

    variant: str = other_default(TaskConfig, "variant", "urnn16")
    num_symbols: int = other_default(MemorizationConfig, "num_symbols", 8)
    num_positions: int = other_default(MemorizationConfig, "num_positions", 10)


@choice("task", "delayed")
@dataclass
class DelayedConfig(TaskConfig):
    """Bits of earlier steps, at every step."""

    sequence_length: int = other_default(TaskConfig, "sequence_length", 100, "number of steps T")
    variant: str = other_default(TaskConfig, "variant", "engelken23")
    delay: int = option(10, "delay d in steps", low=1)


@choice("task", "digits")
@dataclass
class DigitsConfig(TaskConfig):
    """Images, pixel by pixel."""

    sequence_length: int = other_default(
        TaskConfig,
        "sequence_length",
        64,
        "number of steps T; those after the 64 pixels show nothing",
    )
    variant: str = other_default(TaskConfig, "variant", "le15")


@choice("task", "two_sequence")
@dataclass
class TwoSequenceConfig(TaskConfig):
    """One of two classes, and noise on the same input."""

    variant: str = other_default(TaskConfig, "variant", "hs97")
    num_positions: int = option(3, "number of first steps, which show the class", low=1)


# ---------------------------------------------------------------- init


@shared("init", "init")
@dataclass
class InitConfig(Choice):
    """Keys of every initialization, except those of the recurrent weights."""

    input_scale: float | None = option(
        0.1, "standard deviation of the input weights; null: sqrt(2 / (fan_in + fan_out))", low=0, per_replica=True
    )
    output_scale: float | None = option(
        0.1, "standard deviation of the readout weights; null: sqrt(2 / (fan_in + fan_out))", low=0, per_replica=True
    )
    bias_scale: float = option(0.0, "standard deviation of the hidden biases", low=0, per_replica=True)
    initial_state_scale: float = option(0.0, "standard deviation of the learned initial state", low=0, per_replica=True)
    forget_bias: float = option(
        0.0, "mean of the biases of the gates that keep the state (lstm: forget, gru: update)", per_replica=True
    )
    chrono_length: float | None = option(
        None,
        "the longest time, in steps, for which the gates keep the state at the start; null: as forget_bias says",
        low=2,
        per_replica=True,
    )


@choice("init", "sparse")
@dataclass
class SparseInitConfig(InitConfig):
    """A few incoming weights per unit, rescaled to a spectral radius."""

    num_connections: int = option(15, "incoming recurrent weights per unit (all n if n is smaller)", low=1)
    spectral_radius: float = option(1.1, "largest |eigenvalue| of the recurrent weights", low=0, per_replica=True)


@choice("init", "gaussian")
@dataclass
class GaussianInitConfig(InitConfig):
    """Independent normal recurrent weights."""

    recurrent_scale: float | None = option(
        None, "standard deviation of the recurrent weights; null: 1/sqrt(n)", low=0, per_replica=True
    )
    spectral_radius: float | None = option(
        None, "rescale to this largest |eigenvalue|; null: do not rescale", low=0, per_replica=True
    )


@choice("init", "orthogonal")
@dataclass
class OrthogonalInitConfig(InitConfig):
    """A random orthogonal matrix (Haar), times spectral_radius."""

    spectral_radius: float = option(1.0, "|eigenvalue| of all eigenvalues", low=0, per_replica=True)


@choice("init", "identity")
@dataclass
class IdentityInitConfig(InitConfig):
    """The identity matrix, times spectral_radius."""

    spectral_radius: float = option(1.0, "value of all eigenvalues", low=0, per_replica=True)


@choice("init", "chain")
@dataclass
class ChainInitConfig(InitConfig):
    """A chain of units, each of which passes its state to the next."""

    gain: float = option(1.02, "weight from the unit before", per_replica=True)
    feedback: float = option(0.0, "weight from the unit after", per_replica=True)
    source_scale: float | None = option(
        None,
        "input k enters unit k alone, with this weight; null: normal weights to all units, as input_scale says",
        per_replica=True,
    )


@choice("init", "ring")
@dataclass
class RingInitConfig(InitConfig):
    """Eigenvalues of a diagonal recurrence on a ring."""

    r_min: float = option(0.9, "smallest |eigenvalue|", low=0, below=1, per_replica=True)
    r_max: float = option(0.999, "largest |eigenvalue|, > r_min", above=0, high=1, per_replica=True)
    max_phase: float = option(
        math.tau, "largest phase in radians; 2 pi: the whole ring", above=0, high=math.tau, per_replica=True
    )


@choice("init", "from_file")
@dataclass
class FromFileConfig(Choice):
    """The weights of a trained net, the same for all replicas."""

    path: str = option(REQUIRED, "file written by rnnbench export, or a state_dict of its net; read at the start only")


# ---------------------------------------------------------------- optim


@dataclass
class Cadence:
    """Default budget and intervals of an optimizer; the cost of an update differs by a factor of 1000 between them.

    The defaults suit a method that computes one gradient of a small batch per update.
    """

    updates: int = option(50000, "default of budget.updates", low=1)
    log_every: int = option(100, "default of record.log_every", low=1)
    evaluate_every: int = option(500, "default of record.evaluate_every", low=1)
    checkpoint_every: int = option(5000, "default of record.checkpoint_every", low=1)


@shared("optim", "optimizer")
@dataclass
class OptimizerConfig(Choice):
    """Keys of every optimizer."""

    cadence: Cadence = field(default_factory=Cadence, metadata={"help": "defaults of budget and record"})


# ---------------------------------------------------------------- the run


@dataclass
class Budget:
    """Limits of a run that does not solve its task; the first one reached ends it."""

    updates: int = option("${optim.cadence.updates}", "number of updates", low=1)
    sequences: int | None = option(None, "number of sequences per replica, including those of products", low=1)
    minutes: float | None = option(None, "wall-clock minutes", above=0)


@dataclass
class Record:
    """How often a run is logged, evaluated and saved."""

    log_every: int = option(
        "${cadence:log_every}", "updates between rows of metrics; by default at most 1/20 of the budget", low=1
    )
    evaluate_every: int = option(
        "${cadence:evaluate_every}", "updates between evaluations; by default at most 1/20 of the budget", low=1
    )
    checkpoint_every: int = option("${optim.cadence.checkpoint_every}", "updates between checkpoints", low=1)
    checkpoint_minutes: float | None = option(
        10.0, "wall-clock minutes between checkpoints, in addition; null: no such limit", above=0
    )


@dataclass
class Flossing:
    """Gradient flossing (Engelken 2023): the net's Lyapunov exponents are driven to 0, before and during training."""

    exponents: int = option(0, "number of leading Lyapunov exponents that are driven to 0; 0: no flossing", low=0)
    updates: int = option(500, "updates of a round of flossing, by Adam on one sequence each", low=1)
    rounds: int = option(1, "number of rounds: the first before training, the others every so many updates", low=1)
    every: int = option(100, "updates of training between two rounds", low=1)
    lr: float = option(1e-3, "learning rate of flossing", low=0)


@dataclass
class Config:
    """The configuration of a run."""

    task: Any = REQUIRED
    model: Any = REQUIRED
    init: Any = REQUIRED
    optim: Any = REQUIRED
    schedule: Any = REQUIRED
    probe: Any = REQUIRED
    seed: int = option(0, "seed of the initial parameters and data of a replica", low=0, high=2**62, per_replica=True)
    device: str = option("auto", "auto, cpu, cuda or cuda:N; auto: the first GPU, else the CPU")
    cuda_graphs: str = option(
        "auto",
        "replay updates without a row of metrics as CUDA graphs; auto: if possible; always: else an error",
        choices=("auto", "never", "always"),
    )
    dtype: str = option("float32", "floating-point type of parameters and states", choices=("float32", "float64"))
    threads: Any = option(  # noqa: RUF009 - a field
        "auto", "threads on the CPU: a number, or auto: the fastest number, measured at the start", low=1
    )
    name: str = option("${task.name}_${optim.name}", "name of the run, used in the name of its folder")
    stop_when_solved: bool = option(True, "end the run when it is solved")
    objective: str = option(
        "updates_to_solve",
        "value that a searching sweeper such as Optuna minimises",
        choices=("updates_to_solve", "loss", "error_rate"),
    )
    budget: Budget = field(default_factory=Budget)
    record: Record = field(default_factory=Record)
    flossing: Flossing = field(default_factory=Flossing)
