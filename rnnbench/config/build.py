"""From R configurations to the objects of one batched run: task, model, one init per replica, optimizer, probes."""

import inspect
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rnnbench.config.classes import import_class, targets_of
from rnnbench.config.compatibility import check_probes, check_products
from rnnbench.config.errors import ConfigError
from rnnbench.config.objects import values_of
from rnnbench.config.schema import Choice, Config
from rnnbench.config.validate import fields_of, per_replica_fields
from rnnbench.records.identity import NAMES_ONLY

if TYPE_CHECKING:
    from rnnbench.init.base import Init
    from rnnbench.models.base import Model
    from rnnbench.optim.base import Optimizer
    from rnnbench.probes.base import Probe
    from rnnbench.tasks.base import Task

NOT_ARGUMENTS = frozenset({"name", "_target_", "cadence", "every"})
"""Keys of a choice that are for its caller, not for its class."""

NULL_IS_INFINITY = frozenset({"optim.clip_norm", "optim.clip_value"})


@dataclass(frozen=True)
class Built:
    """The objects of one batched run.

    Attributes:
        task: The task, shared by all replicas.
        model: The model.
        inits: One initialization per replica.
        optimizer: The optimizer, its per-replica hyperparameters float64 tensors of shape (R, 1), those that are lists
            (R, length).
        probes: Each probe that is on, by its key.
    """

    task: "Task"
    model: Any
    inits: tuple["Init", ...]
    optimizer: "Optimizer"
    probes: Mapping[str, Any]

    @property
    def keeps_previous(self) -> bool:
        """Whether a probe compares every update with the one before, which is then kept."""
        return any(probe.reads_previous for probe in self.probes.values())

    @property
    def num_traced(self) -> int:
        """The most sequences of a replica that a probe wants to look at; 0: none says how many."""
        return max((getattr(probe, "num_sequences", 0) for probe in self.probes.values()), default=0)


def shared_values(config: Config) -> dict[str, Any]:
    """The keys in which replicas of one run cannot differ, with their values."""
    free = {*per_replica_fields(config), *NAMES_ONLY}
    return {key: value for key, value, _ in fields_of(config) if key not in free}


def check_agreement(configs: Sequence[Config]) -> None:
    """Check that replicas of one run differ in fields marked per replica alone.

    Raises:
        ConfigError: They differ in another field, which the message names with two of its values.
    """
    tables = [shared_values(config) for config in configs]
    for replica, table in enumerate(tables):
        for key in [*tables[0], *table]:
            values = tables[0].get(key), table.get(key)
            if (key in tables[0]) != (key in table) or values[0] != values[1]:
                both = f"{values[0]!r} in replica 0, {values[1]!r} in {replica}"
                raise ConfigError(f"replicas of one run cannot differ in {key}: {both}")


def _make(key: str, choice: Choice, arguments: Mapping[str, Any]) -> Any:
    """Call the class of a choice."""
    found = import_class(key, choice._target_)
    try:
        inspect.signature(found).bind(**arguments)
    except TypeError as error:
        raise ConfigError(f"{key}: {choice._target_} cannot be made from its keys: {error}") from error
    try:
        return found(**arguments)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}" if key not in str(error) else str(error)) from error


def _arguments(choice: Choice, without: Collection[str] = NOT_ARGUMENTS) -> dict[str, Any]:
    return {name: value for name, value in values_of(choice).items() if name not in without}


def _stack(key: str, values: Sequence[Any]) -> Any:
    """One tensor of the values of a hyperparameter, one row per replica."""
    import torch

    if key in NULL_IS_INFINITY:
        values = [math.inf if value is None else value for value in values]
    rows = [value if isinstance(value, list) else [value] for value in values]
    return torch.tensor(rows, dtype=torch.float64)


def build(configs: Sequence[Config]) -> Built:
    """Build the objects of one batched run.

    Args:
        configs: One validated configuration per replica; they agree in everything but the fields marked per replica.

    Returns:
        The objects. A class gets the keys of its choice as arguments, except name, _target_, cadence and every; a model
        gets input_size and output_size of the task beside its own.

    Raises:
        ConfigError: Replicas differ in a field that is not per replica, a class does not exist or does not take its
            keys, or refuses their values, or they do not go together.
    """
    check_agreement(configs)
    first = configs[0]
    task = _make("task", first.task, _arguments(first.task))
    sizes = {"input_size": task.input_size, "output_size": task.output_size}
    model = _make("model", first.model, {**sizes, **_arguments(first.model)})
    inits = tuple(_make("init", config.init, _arguments(config.init)) for config in configs)
    hyperparameters = _arguments(first.optim)
    for key in per_replica_fields(first):
        group, _, name = key.partition(".")
        if group == "optim":
            hyperparameters[name] = _stack(key, [getattr(config.optim, name) for config in configs])
    optimizer = _make("optim", first.optim, hyperparameters)
    check_products(task, model, optimizer)
    probes = build_probes(first, model)
    return Built(task, model, inits, optimizer, probes)


def build_probes(config: Config, model: "Model") -> dict[str, "Probe"]:
    """The probes of a configuration that are on, by their key.

    Args:
        config: Validated.
        model: Which they will look at.

    Raises:
        ConfigError: A class does not exist, does not take its keys, or needs what the model lacks.
    """
    probes = {
        key.removeprefix("probe."): _make(key, choice, _arguments(choice))
        for key, choice in targets_of(config).items()
        if key.startswith("probe.")
    }
    check_probes(model, probes)
    return probes
