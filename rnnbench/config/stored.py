"""Configurations out of records: a run that goes on does so as it was configured, not as conf/ is by now.

A record may be a stranger's, so nothing in it is resolved, imported or called here, and every value is of its key's
type before anything else looks at it.
"""

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from rnnbench.config import schema
from rnnbench.config.declaration import DECLARED
from rnnbench.config.errors import ConfigError
from rnnbench.config.explain import describe_type, show_value
from rnnbench.config.launcher_settings import AUTO
from rnnbench.config.limits import LARGEST
from rnnbench.config.nearest import did_you_mean, nearest_keys
from rnnbench.config.probes import Probe
from rnnbench.config.schema import Choice, Config
from rnnbench.config.validate import validate

RESUMABLE = ("budget.updates", "budget.sequences", "budget.minutes", "stop_when_solved")
"""Keys that a run may be given anew when it goes on: none of them changes a number of the updates."""

MOST_THREADS = 1024
"""Of a run on any machine."""

DEEPEST = 20
"""Levels of a stored configuration."""

PLAIN = (str, float, bool, types.NoneType)

_Made = TypeVar("_Made", bound=schema.Choice | schema.Budget | schema.Record | schema.Cadence | Config)


def schema_names(config: Config) -> dict[str, str]:
    """The dataclass of every choice, by the choice's dotted key, as `config_from` wants it."""
    choices = {group: getattr(config, group) for group in ("task", "model", "init", "optim")}
    choices |= {f"probe.{name}": probe for name, probe in config.probe.items()}
    return {key: type(choice).__name__ for key, choice in choices.items()}


def validate_stored(config: Config) -> None:
    """Check a configuration out of a record, which may be of a machine with more processors.

    Raises:
        ConfigError: The first thing that is wrong.
    """
    threads = config.threads
    if threads != AUTO and (type(threads) is not int or not 1 <= threads <= MOST_THREADS):
        raise ConfigError(f"threads must be auto or a whole number from 1 to {MOST_THREADS}, got {show_value(threads)}")
    validate(dataclasses.replace(config, threads=AUTO))


def config_from(tree: Any, names: Any) -> Config:
    """The configuration that `to_dict` and `schema_names` took apart, every value of its key's type.

    Args:
        tree: From `rnnbench.config.objects.to_dict`, as a record has it.
        names: From `schema_names`, as a record has it.

    Raises:
        ValueError: A key is missing or not known, a value is of another type, or there is no such dataclass.
    """
    _check_plain("the configuration", tree)
    _check_plain("the schema", names)
    try:
        parts = dict(tree)
        for group in ("task", "model", "init", "optim"):
            parts[group] = _choice(group, tree[group], names[group])
        probes = tree["probe"].items()
        parts["probe"] = {name: _choice(f"probe.{name}", values, names[f"probe.{name}"]) for name, values in probes}
        parts["budget"] = _filled(schema.Budget, "budget.", tree["budget"])
        parts["record"] = _filled(schema.Record, "record.", tree["record"])
        return _typed(Config(**parts), "")
    except KeyError as error:
        raise ValueError(f"there is no {error}") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(str(error)) from error


def _choice(key: str, values: Mapping[str, Any], name: str) -> Choice:
    """A choice of a group; keys that its dataclass lacks become attributes."""
    made_by = _dataclasses(key.partition(".")[0])[name]
    fields = {field.name for field in dataclasses.fields(made_by)}
    known = {name: value for name, value in values.items() if name in fields}
    if "cadence" in known:
        known["cadence"] = _filled(schema.Cadence, f"{key}.cadence.", known["cadence"])
    made: Choice = made_by(**known)
    for name in values.keys() - fields:
        if name.startswith("__"):
            raise ValueError(f"{key}.{name} is no key")
        setattr(made, name, values[name])
    return _typed(made, f"{key}.")


@functools.cache
def _dataclasses(group: str) -> Mapping[str, type[Any]]:
    """The dataclasses that a choice of a group can be of, by their names."""
    untyped = Probe if group == "probe" else Choice
    nodes: list[type[Any]] = [untyped, *(declared.node for declared in DECLARED[group].values())]
    return {node.__name__: node for node in nodes}


def _filled(made_by: type[_Made], prefix: str, values: Mapping[str, Any]) -> _Made:
    return _typed(made_by(**values), prefix)


def _typed(made: _Made, prefix: str) -> _Made:
    """The same object, whose fields are of the types that they say."""
    for name, hint in _hints(type(made)).items():  # type: ignore[arg-type] # a class is hashable, if not its instances
        value = getattr(made, name)
        if not _is_of(value, hint):
            raise ValueError(f"{prefix}{name} must be {describe_type(hint)}, got {show_value(value)}")
    return made


@functools.cache
def _hints(made_by: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(made_by)


def _is_of(value: Any, hint: Any) -> bool:
    """Whether a value is of a field's type; a whole number is a number too, and true is neither."""
    if hint is Any or type(value) is hint:
        return True
    if isinstance(hint, types.UnionType):
        return any(_is_of(value, part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is list:
        return isinstance(value, list) and all(_is_of(entry, typing.get_args(hint)[0]) for entry in value)
    return hint is float and type(value) is int


def _check_plain(key: str, value: Any, depth: int = 0) -> None:
    """Check that a value is one that YAML and JSON can hold, in few levels and without numbers beyond 64 bits.

    Raises:
        ValueError: It is not.
    """
    kind = type(value)
    if kind is dict or kind is list:
        if depth == DEEPEST:
            raise ValueError(f"{key} is nested too deeply")
        for name, inner in value.items() if kind is dict else ((key, inner) for inner in value):
            if type(name) is not str:
                raise ValueError(f"{key} has the key {name!r}, which is no text")
            _check_plain(name, inner, depth + 1)
    elif kind is int:
        if abs(value) > LARGEST:
            raise ValueError(f"{key} is larger than any number of a configuration")
    elif kind not in PLAIN:
        raise ValueError(f"{key} holds a {kind.__name__}")


def with_overrides(config: Config, overrides: Sequence[str]) -> Config:
    """The configuration with another budget.

    Args:
        config: Of the run that goes on.
        overrides: KEY=VALUE of the keys in `RESUMABLE`.

    Raises:
        ConfigError: Another key, or a value that cannot be.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    budget, stop = dataclasses.replace(config.budget), config.stop_when_solved
    for line in overrides:
        key, equals, value = line.partition("=")
        if key not in RESUMABLE or not equals:
            near = did_you_mean(nearest_keys(key, RESUMABLE)) or f"; what can be given is {', '.join(RESUMABLE)}"
            raise ConfigError(f"{key} cannot change when a run goes on{near}")
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
