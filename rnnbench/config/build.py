"""Builds the objects of one batched run from R configurations: task, model, one init per replica, optimizer, probes."""

import dataclasses
import inspect
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnbench.config.choices.first_order import NOT_FIRST_ORDER, FirstOrderConfig
from rnnbench.config.choices.models import LayersConfig
from rnnbench.config.choices.schedules import no_schedule
from rnnbench.config.classes import built_choices, import_class, is_own, is_torch_optimizer
from rnnbench.config.compatibility import check_flossing, check_optimizer, check_probes
from rnnbench.config.contract import check_attributes, check_model, check_task
from rnnbench.config.errors import ConfigError
from rnnbench.config.faults import fault
from rnnbench.config.objects import values_of
from rnnbench.config.option import PER_REPLICA
from rnnbench.config.own_keys import mark_own_keys
from rnnbench.config.schema import Choice, Config
from rnnbench.config.torch_optimizers import build_torch_optimizer
from rnnbench.config.validate import fields_of, per_replica_fields
from rnnbench.records.identity import DEFAULTS_OF_OTHERS, NAMES_ONLY

if TYPE_CHECKING:
    from rnnbench.init.base import Initializer
    from rnnbench.models.base import Model
    from rnnbench.optim.base import Optimizer
    from rnnbench.optim.schedules.base import Schedule
    from rnnbench.probes.base import Probe
    from rnnbench.tasks.base import Task

NOT_ARGUMENTS = frozenset({"name", "_target_", "_partial_", "every", "first_length", PER_REPLICA, *DEFAULTS_OF_OTHERS})
"""Keys of a choice that are not arguments of its class."""

INPUT_WEIGHT_SCALE = "task.input_weight_scale"
"""A key that has no effect beside its value as the default of init.input_scale."""

NULL_IS_INFINITY = frozenset({"optim.clip_norm", "optim.clip_value", "optim.step_clip_norm"})
"""Keys whose null means infinity in a tensor of per-replica values."""

NOISE_KEYS, AVERAGE_KEYS = ("gradient_noise", "gradient_noise_decay"), ("average_decay", "average_start")
"""Keys of first-order methods whose values make an object each."""


@dataclass(frozen=True)
class Built:
    """The objects of one batched run.

    Attributes:
        task: The task, shared by all replicas.
        model: The model.
        inits: One initialization per replica.
        optimizer: The optimizer; each per-replica hyperparameter is a float64 tensor of shape (R, 1), for lists
            (R, length).
        probes: The active probes, by name.
    """

    task: "Task"
    model: Any
    inits: tuple["Initializer", ...]
    optimizer: "Optimizer"
    probes: Mapping[str, Any]

    @property
    def keeps_previous(self) -> bool:
        """Whether a probe compares each update with the previous one, which must then be kept."""
        return any(probe.reads_previous for probe in self.probes.values())

    @property
    def num_traced(self) -> int:
        """The largest `num_sequences` of the probes; 0 if none has this argument."""
        return max((getattr(probe, "num_sequences", 0) for probe in self.probes.values()), default=0)


def shared_values(config: Config) -> dict[str, Any]:
    """The keys that all replicas of a run must share, with their values; the classes must be importable."""
    mark_own_keys(config)
    may_differ = {*per_replica_fields(config), *NAMES_ONLY, INPUT_WEIGHT_SCALE}
    return {key: value for key, value, _ in fields_of(config) if key not in may_differ}


def check_agreement(configs: Sequence[Config]) -> None:
    """Check that replicas of a run differ only in per-replica keys.

    Raises:
        ConfigError: They differ in another key; the message names it with two of its values.
    """
    tables = [shared_values(config) for config in configs]
    for replica, table in enumerate(tables):
        for key in [*tables[0], *table]:
            values = tables[0].get(key), table.get(key)
            if (key in tables[0]) != (key in table) or values[0] != values[1]:
                both = f"{values[0]!r} in replica 0, {values[1]!r} in {replica}"
                raise ConfigError(f"replicas of one run cannot differ in {key}: {both}")


def _make(key: str, choice: Choice, arguments: Mapping[str, Any]) -> Any:
    """Build the object of a choice."""
    built_class = import_class(key, choice._target_)
    try:
        inspect.signature(built_class).bind(**arguments)
    except TypeError as error:
        hint = _forgotten_decorator(built_class) or _not_first_order(choice, built_class)
        raise ConfigError(f"{key}: {choice._target_} does not take its keys as arguments: {error}{hint}") from error
    try:
        made = built_class(**arguments)
        check_attributes(key, made)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}" if key not in str(error) else str(error)) from error
    except Exception as error:
        if not is_own(built_class):
            raise
        raise fault(key, error) from error
    return made


def _not_first_order(choice: Choice, built_class: type[Any]) -> str:
    """The end of a message on an optimizer that got the keys of first-order methods and is none."""
    if type(choice) is not FirstOrderConfig or hasattr(built_class, "step"):
        return ""
    return f"; it is no FirstOrder, so its file needs the line {NOT_FIRST_ORDER}"


def _forgotten_decorator(built_class: type[Any]) -> str:
    """The end of a message on a class with fields of its own that is no dataclass, though its base is one."""
    is_plain = dataclasses.is_dataclass(built_class) and "__dataclass_fields__" not in vars(built_class)
    if not is_plain or not vars(built_class).get("__annotations__"):
        return ""
    return f"; write @dataclass(frozen=True, kw_only=True) above class {built_class.__name__}"


def _arguments(choice: Choice, without: Collection[str] = NOT_ARGUMENTS) -> dict[str, Any]:
    return {name: value for name, value in values_of(choice).items() if name not in without}


def _stack(key: str, values: Sequence[Any]) -> Any:
    """Stack the values of a hyperparameter into one tensor, one row per replica."""
    import torch

    if key in NULL_IS_INFINITY:
        values = [math.inf if value is None else value for value in values]
    rows = [value if isinstance(value, list) else [value] for value in values]
    if len({len(row) for row in rows}) > 1:
        raise ConfigError(f"{key} must have as many entries in one replica as in the others, got {rows[0]} and others")
    return torch.tensor(rows, dtype=torch.float64)


def build(configs: Sequence[Config]) -> Built:
    """Build the objects of one batched run.

    Args:
        configs: One validated configuration per replica; they differ only in per-replica keys.

    Returns:
        The objects. A class gets the keys of its choice as arguments, except those in `NOT_ARGUMENTS`; a model also
        gets input_size and output_size of the task.

    Raises:
        ConfigError: Replicas differ in a key that is not per replica; a class does not exist, does not take its keys or
            rejects a value; or the objects are not compatible.
    """
    check_agreement(configs)
    first = configs[0]
    task = build_task(first)
    check_task(task)
    _check_first_length(first, task)
    model = _build_model(first.model, task)
    inits = _initializers(configs)
    hyperparameters = _hyperparameters("optim", configs)
    schedule = _build_schedule(configs)
    if schedule is not None:
        hyperparameters["schedule"] = schedule
    hyperparameters |= _noise_and_average(hyperparameters, [config.seed for config in configs])
    if is_torch_optimizer(import_class("optim", first.optim._target_)):
        optimizer = build_torch_optimizer(first, model.layout, hyperparameters)
    else:
        hyperparameters |= _from_the_run(import_class("optim", first.optim._target_), model, configs)
        optimizer = _make("optim", first.optim, hyperparameters)
    check_optimizer(task, model, optimizer)
    check_flossing(model, optimizer, first.flossing.exponents, first.flossing.rounds)
    probes = build_probes(first, model)
    return Built(task, model, inits, optimizer, probes)


def _build_model(choice: Choice, task: "Task") -> "Model":
    """Build the model of a task; several layers become one model, whose layers are models of the class."""
    from rnnbench.models.stack import Stack

    arguments = {"output_size": task.output_size, **_arguments(choice)}
    if not isinstance(choice, LayersConfig):
        return _layer(choice, task.input_size, arguments)
    above = [choice.hidden_size] * (arguments.pop("num_layers") - 1)
    layers = [_layer(choice, input_size, arguments) for input_size in (task.input_size, *above)]
    if not above:
        return layers[0]
    try:
        return Stack(layers)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _layer(choice: Choice, input_size: int, arguments: Mapping[str, Any]) -> "Model":
    """Build the model of a choice for a number of inputs; one of the user's own is checked."""
    model: Model = _make("model", choice, {"input_size": input_size, **arguments})
    if is_own(type(model)):
        try:
            check_model(model)
        except Exception as error:
            raise fault("model", error) from error
    return model


def _hyperparameters(group: str, configs: Sequence[Config]) -> dict[str, Any]:
    """The arguments of a class that serves all replicas: those that may differ between replicas are tensors."""
    arguments = _arguments(getattr(configs[0], group))
    for key in per_replica_fields(configs[0]):
        name = key.removeprefix(f"{group}.")
        if name in arguments and name != key:
            arguments[name] = _stack(key, [getattr(getattr(config, group), name) for config in configs])
    return arguments


def _build_schedule(configs: Sequence[Config]) -> "Schedule | None":
    """Build the schedule of the learning rate; None: all replicas have a constant one."""
    from rnnbench.optim.first_order import GradientMethod

    if all(config.schedule == no_schedule() for config in configs):
        return None
    first = configs[0]
    optimizer_class = import_class("optim", first.optim._target_)
    if not is_torch_optimizer(optimizer_class) and not issubclass(optimizer_class, GradientMethod):
        raise ConfigError(f"optim={first.optim.name} has no learning rate; use schedule=constant without warmup")
    schedule: Schedule = _make("schedule", first.schedule, _hyperparameters("schedule", configs))
    return schedule


def _from_the_run(optimizer_class: Any, model: "Model", configs: Sequence[Config]) -> dict[str, Any]:
    """The arguments of an optimizer that are no keys: those that its class has as fields.

    Names and shapes of one replica's parameters, in theta's order, and the seed of each replica, (R,), int64.
    """
    import torch

    arguments = {
        "layout": {name: parameter.shape for name, parameter in model.layout.items()},
        "seeds": torch.tensor([config.seed for config in configs], dtype=torch.int64),
    }
    return {k: v for k, v in arguments.items() if k in getattr(optimizer_class, "__dataclass_fields__", {})}


def _noise_and_average(hyperparameters: dict[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
    """Build what all first-order methods may have beside the step; takes its keys out of the hyperparameters."""
    import torch

    from rnnbench.optim.gradient_noise import GradientNoise
    from rnnbench.optim.weight_average import WeightAverage

    if not hyperparameters.keys() >= {*NOISE_KEYS, *AVERAGE_KEYS}:
        return {}
    variance, noise_decay, decay, start = (hyperparameters.pop(key) for key in (*NOISE_KEYS, *AVERAGE_KEYS))
    made: dict[str, Any] = {}
    if bool((variance > 0).any()):
        own_seeds = torch.tensor(seeds, dtype=torch.int64)
        made["noise"] = GradientNoise(variance=variance, decay=noise_decay, seeds=own_seeds)
    if bool((decay > 0).any()):
        made["average"] = WeightAverage(decay=decay, start=start)
    return made


def build_task(config: Config, sequence_length: int | None = None) -> "Task":
    """Build the task of a configuration.

    Args:
        config: Validated configuration.
        sequence_length: Length in place of the configuration's; None: that of the configuration.

    Raises:
        ConfigError: The class does not exist, does not take its keys, or rejects a value, such as a variant.
    """
    arguments = _arguments(config.task)
    if sequence_length is not None:
        arguments["sequence_length"] = sequence_length
    task: Task = _make("task", config.task, arguments)
    return task


def first_length(config: Config) -> int | None:
    """The sequence length of the first training batches; None: all have that of the task."""
    length: int | None = getattr(config.task, "first_length", None)  # a user's own task may lack it
    return length


def _check_first_length(config: Config, task: "Task") -> None:
    """Check that the task exists at the length of the first training batches, with the same inputs and outputs."""
    length = first_length(config)
    if length is None:
        return
    if length > config.task.sequence_length:
        raise ConfigError(
            f"task.first_length must be at most task.sequence_length={config.task.sequence_length}, got {length}"
        )
    try:
        shorter = build_task(config, length)
    except ConfigError as error:
        raise ConfigError(str(error).replace("task.sequence_length", "task.first_length")) from error
    if (shorter.input_size, shorter.output_size) != (task.input_size, task.output_size):
        raise ConfigError(f"task.first_length={length}: task={config.task.name} has other inputs or outputs there")


def _initializers(configs: Sequence[Config]) -> tuple["Initializer", ...]:
    """Build the initialization of each replica; replicas with the same keys share one, which may have read a file."""
    made: dict[str, Initializer] = {}
    arguments = [_arguments(config.init) for config in configs]
    for config, values in zip(configs, arguments, strict=True):
        if repr(values) not in made:
            made[repr(values)] = _make("init", config.init, values)
    return tuple(made[repr(values)] for values in arguments)


def build_probes(config: Config, model: "Model") -> dict[str, "Probe"]:
    """Build the active probes of a configuration, by name.

    Args:
        config: Validated configuration.
        model: Model that the probes read.

    Raises:
        ConfigError: A class does not exist, does not take its keys, or needs a method that the model lacks.
    """
    probes = {
        key.removeprefix("probe."): _make(key, choice, _arguments(choice))
        for key, choice in built_choices(config).items()
        if key.startswith("probe.")
    }
    check_probes(model, probes)
    return probes
