"""Checks of a complete configuration beyond types: limits, and conditions on several keys."""

import dataclasses
import functools
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

from rnnbench.config.choices.first_order import FirstOrderConfig
from rnnbench.config.choices.hessian_free import HfConfig, conflict
from rnnbench.config.choices.models import GatedNetConfig
from rnnbench.config.choices.schedules import problem_of
from rnnbench.config.errors import ConfigError
from rnnbench.config.limits import limit_problem
from rnnbench.config.nearest import did_you_mean, nearest_keys
from rnnbench.config.objects import values_of
from rnnbench.config.option import PER_REPLICA
from rnnbench.config.schema import CHOICE_GROUPS, Choice, Config
from rnnbench.config.values import show_value

MARKABLE, MARKED = ("init", "optim", "schedule"), "keys of init, optim and schedule"
"""Groups of which replicas may have different values."""

MAX_NAME_BYTES = 150  # a folder's name has at most 255 bytes, including the time
FORBIDDEN_IN_NAME = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f-\x9f\ud800-\udfff]')  # last: bytes that are not UTF-8
DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def fields_of(node: Any, prefix: str = "") -> Iterator[tuple[str, Any, dataclasses.Field[Any] | None]]:
    """Every key with a value: dotted name, value, and field of the schema (None if it has none).

    Args:
        node: `Config` or a part of it.
        prefix: Dotted name of the part, with a dot at the end.
    """
    schema = _schema(type(node))  # type: ignore[arg-type] # of a dataclass
    for name, value in values_of(node).items():
        if dataclasses.is_dataclass(value):
            yield from fields_of(value, f"{prefix}{name}.")
        elif isinstance(value, dict) and prefix == "" and name == "probe":
            for probe, inner in value.items():
                yield from fields_of(inner, f"probe.{probe}.")
        else:
            yield f"{prefix}{name}", value, schema.get(name)


@functools.cache
def _schema(kind: Any) -> dict[str, dataclasses.Field[Any]]:
    """Name -> field, for the fields of a dataclass."""
    return {field.name: field for field in dataclasses.fields(kind)}


def per_replica_fields(config: Config) -> list[str]:
    """Dotted names of the keys in which replicas of a batched run may differ."""
    typed = [key for key, _, field in fields_of(config) if field is not None and field.metadata.get(PER_REPLICA)]
    own = (f"{group}.{name}" for group in MARKABLE for name in getattr(getattr(config, group), PER_REPLICA, ()))
    return [*typed, *own]


def validate(config: Config) -> None:
    """Check a configuration; needs neither torch nor the file system.

    Args:
        config: Configuration whose values have the right types.

    Raises:
        ConfigError: The first error found, with the key, the value and the allowed values.
    """
    for key, value, field in fields_of(config):
        problem = limit_problem(key, value, {} if field is None else field.metadata)
        if problem:
            raise ConfigError(problem)
        if field is not None and isinstance(value, list):
            _check_length(key, value, field)
        if key.endswith("._target_"):
            _check_target(key, value)
    _check_extra_keys(config)
    _check_marks(config)
    _check_name(config.name)
    _check_device(config.device)
    _check_threads(config.threads)
    _check_optimizer(config.optim)
    _check_penalty(config)
    problem = problem_of(config.schedule)
    if problem:
        raise ConfigError(problem)


def _check_extra_keys(config: Config) -> None:
    """Check that choices with classes of rnnbench have no keys outside the schema, which only a file can add."""
    for group in CHOICE_GROUPS:
        choice = getattr(config, group)
        if not choice._target_.startswith("rnnbench."):
            continue
        keys = {key: field for key, _, field in fields_of(choice, f"{group}.")}
        for key in [key for key, field in keys.items() if field is None]:
            near = did_you_mean(nearest_keys(key, [name for name in keys if name != key]))
            raise ConfigError(f"there is no key {key} in {group}={choice.name}{near}")


def _check_marks(config: Config) -> None:
    """Check the own keys that a record marks per replica."""
    for group in CHOICE_GROUPS:
        choice = getattr(config, group)
        values = values_of(choice)
        key, marked = f"{group}.{PER_REPLICA}", values.get(PER_REPLICA, [])
        if marked and group not in MARKABLE:
            raise ConfigError(f"{key}: the {group} is the same for all replicas of a run; only {MARKED} can be marked")
        if not isinstance(marked, list) or not all(isinstance(name, str) for name in marked):
            raise ConfigError(f"{key} must be a list of keys, as in [beta], got {show_value(marked)}")
        typed = {field.name for field in dataclasses.fields(choice)}
        own = [name for name in values if name not in {PER_REPLICA, *typed}]
        for name in marked:
            if name not in own:
                raise ConfigError(f"{key}: {name} is no key of this file's own; those are {', '.join(own) or 'none'}")
            numbers = values[name] if isinstance(values[name], list) and values[name] else [values[name]]
            if group != "init" and not all(type(number) in (int, float) for number in numbers):
                raise ConfigError(f"{group}.{name} is marked in {key}, so it must be a number or a list of numbers")


def _check_length(key: str, value: list[Any], field: dataclasses.Field[Any]) -> None:
    """Check that a list has the length of its default."""
    if field.default_factory is not dataclasses.MISSING and len(value) != len(field.default_factory()):
        raise ConfigError(f"{key} must have {len(field.default_factory())} entries, got {value}")


def _check_target(key: str, target: str) -> None:
    """Check that a class is named by a dotted path outside Python's standard library."""
    if not TARGET.fullmatch(target):
        raise ConfigError(f"{key} must be the dotted path of a class, as in package.module.Class, got {target!r}")
    if target.partition(".")[0] in {*sys.stdlib_module_names, *sys.builtin_module_names}:
        raise ConfigError(f"{key} must be a class of rnnbench or of your own, got {target!r} of Python's library")


def _check_name(name: str) -> None:
    wrong = FORBIDDEN_IN_NAME.search(name)
    if wrong:
        raise ConfigError(f"name is part of a folder's name and cannot contain {wrong[0]!r}, got {name!r}")
    if not name.strip() or name != name.strip() or name in (".", "..") or len(os.fsencode(name)) > MAX_NAME_BYTES:
        raise ConfigError(f"name must be 1 to {MAX_NAME_BYTES} bytes with no space at its ends, got {name!r}")


def _check_device(device: str) -> None:
    if device.partition(":")[0] == "mps":
        raise ConfigError(
            "device=mps cannot be used: it lacks float64, which norms and eigenvalues need; use device=cpu"
        )
    if not DEVICE.fullmatch(device):
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:N, got {device!r}")


def _check_threads(threads: Any) -> None:
    if threads == "auto":
        return
    most = os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= most:
        raise ConfigError(f"threads must be auto or a whole number from 1 to {most}, got {threads!r}")


def _check_penalty(config: Config) -> None:
    """Check that the net has the penalty on vanishing gradients; a class of the user's own is checked when built."""
    if isinstance(config.model, GatedNetConfig) and getattr(config.optim, "information_flow", 0) > 0:
        raise ConfigError(
            f"optim.information_flow is defined for model=rnn only; with model={config.model.name} it must be 0"
        )


def _check_optimizer(optim: Choice) -> None:
    """Check conditions on several keys of an optimizer."""
    problem = conflict(optim) if isinstance(optim, HfConfig) else None
    if problem:
        raise ConfigError(problem)
    if isinstance(optim, FirstOrderConfig) and optim.clip_norm is not None and optim.clip_value is not None:
        raise ConfigError(
            f"optim.clip_norm and optim.clip_value exclude each other, got {optim.clip_norm:g} and "
            f"{optim.clip_value:g}; set one of them to null"
        )
