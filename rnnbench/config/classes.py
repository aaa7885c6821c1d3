"""The classes that a configuration names by `_target_`: where they are found, and what they must be.

To import a module is to run it, and to call a class is to run its code. So nothing is called that is not a class of its
group's kind, and where a class would be imported from can be told without importing it.
"""

import importlib
import importlib.util
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnbench.config.errors import ConfigError
from rnnbench.config.schema import Choice, Config

BASES = {
    "task": "rnnbench.tasks.base.Task",
    "model": "rnnbench.models.base.Model",
    "init": "rnnbench.init.base.Init",
    "optim": "rnnbench.optim.base.Optimizer",
    "probe": "rnnbench.probes.base.Probe",
    "experiment": "rnnbench.experiments.base.Experiment",
    "callback": "hydra.experimental.callback.Callback",
}
"""Group, or other kind of class -> the base of its classes."""


def targets_of(config: Config) -> dict[str, Choice]:
    """Every choice of a configuration that builds an object, by its dotted key; probes that are off build none."""
    choices: dict[str, Choice] = {group: getattr(config, group) for group in ("task", "model", "init", "optim")}
    choices |= {f"probe.{name}": probe for name, probe in config.probe.items() if probe.every > 0}
    return choices


def is_ours(key: str, target: str) -> bool:
    """Whether a class lies in the subpackage of rnnbench that holds the classes of its group.

    Args:
        key: Dotted key of its choice.
        target: Dotted path of the class.
    """
    package = BASES[key.partition(".")[0]].rpartition(".base.")[0]
    return target.startswith(f"{package}.")


def own_targets(configs: Sequence[Config]) -> list[str]:
    """The classes that configurations name and that are not rnnbench's, each once."""
    named = {choice._target_: key for config in configs for key, choice in targets_of(config).items()}
    return [target for target, key in named.items() if not is_ours(key, target)]


def origins_of(target: str) -> list[Path]:
    """Find what a class's outermost module would be imported from, importing nothing.

    Args:
        target: Dotted path of the class.

    Returns:
        The module's file, or the package's folder; several folders for a package without `__init__.py`; empty where
        there is no such module.
    """
    try:
        spec = importlib.util.find_spec(target.partition(".")[0])
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    folders = spec.submodule_search_locations
    if folders is not None:
        return [Path(folder).absolute() for folder in folders]
    return [Path(spec.origin).absolute()] if spec.has_location and spec.origin is not None else []


def places_of(configs: Sequence[Config]) -> dict[str, str]:
    """Where the classes that are not rnnbench's come from, as records keep it.

    Args:
        configs: Whose classes can be imported.

    Returns:
        Dotted path of each class -> the folder in which Python finds its outermost module.
    """
    found = {target: origins_of(target) for target in own_targets(configs)}
    return {target: str(origins[0].parent) for target, origins in found.items() if origins}


def import_class(key: str, target: str, kind: str | None = None) -> type[Any]:
    """Import the class that a `_target_` names; this imports torch where its module does.

    Args:
        key: Dotted key of its choice.
        target: Dotted path of the class.
        kind: Key of `BASES`; None: the group that `key` begins with.

    Raises:
        ConfigError: There is no such class, or it is not of its group's kind.
    """
    module_name, _, name = target.rpartition(".")
    try:
        found = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key}._target_: cannot import {target}: {error}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{key}._target_: cannot import {target}: {reason}") from error
    if not isinstance(found, type):
        raise ConfigError(f"{key}._target_: {target} is no class")
    group = kind or key.partition(".")[0]
    base_module, _, base_name = BASES[group].rpartition(".")
    if not issubclass(found, getattr(importlib.import_module(base_module), base_name)):
        raise ConfigError(f"{key}._target_: {target} is no {group}: it must be a subclass of {BASES[group]}")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        raise ConfigError(f"{key}._target_: {target} lacks what every {group} has: {missing}")
    return found


def check_targets(configs: Sequence[Config]) -> None:
    """Import every class that the configurations name.

    Raises:
        ConfigError: There is no such class, or it is not of its group's kind.
    """
    for key, target in {
        (key, choice._target_): None for config in configs for key, choice in targets_of(config).items()
    }:
        import_class(key, target)
