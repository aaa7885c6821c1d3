"""Reads configurations from records: a run is resumed as it was configured, whatever conf/ contains now.

Records may come from an untrusted source. So nothing in them is resolved, imported or called here, and the type of
every value is checked before it is used.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from rnnbench.config import schema
from rnnbench.config.choices.hessian_free import HfConfig, current_keys
from rnnbench.config.choices.probes import ProbeConfig
from rnnbench.config.choices.schedules import SCHEDULE, no_schedule, recorded_groups
from rnnbench.config.declaration import DECLARED
from rnnbench.config.errors import ConfigError
from rnnbench.config.launcher_settings import AUTO
from rnnbench.config.limits import MAX_INTEGER
from rnnbench.config.nearest import did_you_mean, nearest_keys
from rnnbench.config.schema import CHOICE_GROUPS, Choice, Config
from rnnbench.config.validate import validate
from rnnbench.config.values import describe_type, show_value

RESUMABLE = ("budget.updates", "budget.sequences", "budget.minutes", "stop_when_solved")
"""Keys that may change when a run is resumed: they do not affect the numbers of an update."""

MOST_THREADS = 1024
"""Largest number of threads in a record, whatever this machine has."""

MAX_DEPTH = 20
"""Largest number of nested levels in a stored configuration."""

PLAIN_TYPES = (str, float, bool, types.NoneType)

_Part = schema.Budget | schema.Record | schema.Flossing | schema.Cadence
_Node = TypeVar("_Node", bound=schema.Choice | _Part | Config)


def schema_names(config: Config) -> dict[str, str]:
    """Dotted key of every choice -> name of its dataclass, as `config_from` expects it."""
    choices = {group: getattr(config, group) for group in recorded_groups(config)}
    choices |= {f"probe.{name}": probe for name, probe in config.probe.items()}
    return {key: stored_name(type(choice)) for key, choice in choices.items()}


def stored_name(node: type[Any]) -> str:
    """The name of a choice's dataclass in a record: without `Config`, which older records do not have."""
    return node.__name__.removesuffix("Config")


def validate_stored(config: Config) -> None:
    """Check a configuration from a record, which may come from a machine with more processors.

    Raises:
        ConfigError: The first error found.
    """
    threads = config.threads
    if threads != AUTO and (type(threads) is not int or not 1 <= threads <= MOST_THREADS):
        raise ConfigError(f"threads must be auto or a whole number from 1 to {MOST_THREADS}, got {show_value(threads)}")
    validate(dataclasses.replace(config, threads=AUTO))


def config_from(tree: Any, names: Any, *, is_continued: bool = True) -> Config:
    """Rebuild a configuration from the results of `to_dict` and `schema_names`, and check the type of every value.

    Args:
        tree: Result of `rnnbench.config.objects.to_dict`, read from a record.
        names: Result of `schema_names`, read from a record.
        is_continued: Whether the run goes on, so that this version has to have every rule that the run has.

    Raises:
        ValueError: A key is missing or unknown, a value has the wrong type, a dataclass does not exist, or a run that
            goes on has a removed key at another value than this version's.
    """
    _check_plain("the configuration", tree)
    _check_plain("the schema", names)
    try:
        parts = dict(tree)
        for group in CHOICE_GROUPS:
            is_recorded = group in tree or group != SCHEDULE
            parts[group] = (
                _choice(group, tree[group], names[group], is_continued=is_continued) if is_recorded else no_schedule()
            )
        probes = tree["probe"].items()
        parts["probe"] = {name: _choice(f"probe.{name}", values, names[f"probe.{name}"]) for name, values in probes}
        parts["budget"] = _filled(schema.Budget, "budget.", tree["budget"])
        parts["record"] = _filled(schema.Record, "record.", tree["record"])
        parts["flossing"] = _filled(schema.Flossing, "flossing.", tree.get("flossing", {}))
        return _typed(Config(**parts), "")
    except KeyError as error:
        raise ValueError(f"there is no {error}") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def _choice(key: str, values: Mapping[str, Any], name: str, *, is_continued: bool = True) -> Choice:
    """A choice of a group; keys without a field in its dataclass become further attributes."""
    node_type = _dataclasses(key.partition(".")[0])[name]
    if node_type is HfConfig:
        values = current_keys(values, is_continued=is_continued)
    fields = {field.name for field in dataclasses.fields(node_type)}
    known = {name: value for name, value in values.items() if name in fields}
    if "input_weight_scale" in fields:
        known.setdefault("input_weight_scale", 0.0)  # not in older records; a default, resolved already
    if "cadence" in known:
        known["cadence"] = _filled(schema.Cadence, f"{key}.cadence.", known["cadence"])
    made: Choice = node_type(**known)
    for name in values.keys() - fields:
        if name.startswith("__"):
            raise ValueError(f"{key}.{name} is not a key")
        setattr(made, name, values[name])
    return _typed(made, f"{key}.")


@functools.cache
def _dataclasses(group: str) -> Mapping[str, type[Any]]:
    """Name -> dataclass, for the dataclasses of a group's choices."""
    untyped = ProbeConfig if group == "probe" else Choice
    nodes: list[type[Any]] = [untyped, *(declared.node for declared in DECLARED[group].values())]
    return {stored_name(node): node for node in nodes}


def _filled(node_type: type[_Node], prefix: str, values: Mapping[str, Any]) -> _Node:
    return _typed(node_type(**values), prefix)


def _typed(made: _Node, prefix: str) -> _Node:
    """Check that the fields of a dataclass instance have their declared types; returns the instance."""
    for name, hint in _hints(type(made)).items():  # type: ignore[arg-type] # a class is hashable, if not its instances
        value = getattr(made, name)
        if not _is_of(value, hint):
            raise ValueError(f"{prefix}{name} must be {describe_type(hint)}, got {show_value(value)}")
    return made


@functools.cache
def _hints(node_type: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(node_type)


def _is_of(value: Any, hint: Any) -> bool:
    """Whether a value has the type of a field; an int is accepted as a float, a bool is neither."""
    if hint is Any or type(value) is hint:
        return True
    if isinstance(hint, types.UnionType):
        return any(_is_of(value, part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is list:
        return isinstance(value, list) and all(_is_of(entry, typing.get_args(hint)[0]) for entry in value)
    return hint is float and type(value) is int


def _check_plain(key: str, value: Any, depth: int = 0) -> None:
    """Check that a value consists of plain YAML and JSON types, in few levels and with integers of at most 64 bits.

    Raises:
        ValueError: It does not.
    """
    kind = type(value)
    if kind is dict or kind is list:
        if depth == MAX_DEPTH:
            raise ValueError(f"{key} is nested too deeply")
        for name, inner in value.items() if kind is dict else ((key, inner) for inner in value):
            if type(name) is not str:
                raise ValueError(f"{key} has the key {name!r}, which is not a string")
            _check_plain(name, inner, depth + 1)
    elif kind is int:
        if abs(value) > MAX_INTEGER:
            raise ValueError(f"{key} is larger than the largest allowed number")
    elif kind not in PLAIN_TYPES:
        raise ValueError(f"{key} contains a {kind.__name__}")


def with_overrides(config: Config, overrides: Sequence[str]) -> Config:
    """Change the budget of a configuration.

    Args:
        config: Configuration of the run to resume.
        overrides: Overrides KEY=VALUE of keys in `RESUMABLE`.

    Raises:
        ConfigError: A key is not in `RESUMABLE`, or a value is invalid.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    budget, stop = dataclasses.replace(config.budget), config.stop_when_solved
    for line in overrides:
        key, equals, value = line.partition("=")
        if not key.strip() or not equals:
            raise ConfigError(f"{line!r} is not KEY=VALUE, as in budget.updates=400")
        if key not in RESUMABLE:
            near = did_you_mean(nearest_keys(key, RESUMABLE)) or f"; the keys that can be are {', '.join(RESUMABLE)}"
            raise ConfigError(f"{key} cannot be changed when a run is resumed{near}")
        part, _, name = key.rpartition(".")
        node = OmegaConf.structured(schema.Budget if part else Config)
        try:
            OmegaConf.update(node, name, OmegaConf.create(f"value: {value}").value)
            typed = OmegaConf.select(node, name)
        except OmegaConfBaseException as error:
            raise ConfigError(f"{key}: {str(error).splitlines()[0]}") from error
        if part:
            setattr(budget, name, typed)
        else:
            stop = typed
    changed = dataclasses.replace(config, budget=budget, stop_when_solved=stop)
    validate(changed)
    return changed
