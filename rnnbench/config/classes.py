"""The classes that a configuration names by `_target_`: where they are imported from, and their base classes.

Importing a module runs its code. So a class must be a subclass of the base class of its group before it is called, and
the place that it would be imported from can be found without importing it.
"""

import importlib
import importlib.util
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnbench.config.errors import ConfigError
from rnnbench.config.schema import CHOICE_GROUPS, Choice, Config

BASES = {
    "task": "rnnbench.tasks.base.Task",
    "model": "rnnbench.models.base.Model",
    "init": "rnnbench.init.base.Initializer",
    "optim": "rnnbench.optim.base.Optimizer",
    "schedule": "rnnbench.optim.schedules.base.Schedule",
    "probe": "rnnbench.probes.base.Probe",
    "experiment": "rnnbench.experiments.base.Experiment",
    "callback": "hydra.experimental.callback.Callback",
}
"""Group, or other kind of class -> the required base class."""

TORCH_OPTIMIZER = "torch.optim.Optimizer"
"""Base class of optimizers that are no subclass of rnnbench's own; see `rnnbench.optim.torch_optimizer`."""

OTHER_BASES: Mapping[str, Sequence[str]] = {"optim": (TORCH_OPTIMIZER,)}
"""Further base classes of a group."""

LIBRARIES: Mapping[str, Sequence[str]] = {"optim": ("torch.optim", "pytorch_optimizer")}
"""Packages other than rnnbench whose classes the choices of a group name."""

EXTRAS: Mapping[str, str] = {"pytorch_optimizer": "optimizers"}
"""Package -> the extra of rnnbench that installs it."""


def built_choices(config: Config) -> dict[str, Choice]:
    """Every choice of a configuration that builds an object, by dotted key; probes that are off build none."""
    choices: dict[str, Choice] = {group: getattr(config, group) for group in CHOICE_GROUPS}
    choices |= {f"probe.{name}": probe for name, probe in config.probe.items() if probe.every > 0}
    return choices


def is_packaged(key: str, target: str) -> bool:
    """Whether a class is in the subpackage of rnnbench for the classes of its group, or in one of its `LIBRARIES`.

    Args:
        key: Dotted key of the choice.
        target: Dotted path of the class.
    """
    group = key.partition(".")[0]
    packages = (BASES[group].rpartition(".base.")[0], *LIBRARIES.get(group, ()))
    return any(target.startswith(f"{package}.") for package in packages)


def is_own(kind: type[Any]) -> bool:
    """Whether a class is not part of rnnbench."""
    return kind.__module__.partition(".")[0] != "rnnbench"


def base_of(key: str) -> type[Any]:
    """The base class of a group, or of another kind of class.

    Args:
        key: Key of `BASES`, or a dotted key that begins with one.
    """
    return _imported(BASES[key.partition(".")[0]])


def external_targets(configs: Sequence[Config]) -> list[str]:
    """The distinct classes of some configurations that are not part of rnnbench."""
    named = {choice._target_: key for config in configs for key, choice in built_choices(config).items()}
    return [target for target, key in named.items() if not is_packaged(key, target)]


def import_origins(target: str) -> list[Path]:
    """Find where the top-level module of a class would be imported from, without importing it.

    Args:
        target: Dotted path of the class.

    Returns:
        The module's file or the package's folder; several folders for a package without `__init__.py`; empty if there
        is no such module.
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
    """The folders of the classes that are not part of rnnbench, as records keep them.

    Args:
        configs: Configurations whose classes can be imported.

    Returns:
        Dotted path of each class -> the folder in which Python finds its top-level module.
    """
    origins_by_target = {target: import_origins(target) for target in external_targets(configs)}
    return {target: str(origins[0].parent) for target, origins in origins_by_target.items() if origins}


def import_class(key: str, target: str, kind: str | None = None) -> type[Any]:
    """Import the class of a `_target_`; this imports torch if its module does.

    Args:
        key: Dotted key of the choice.
        target: Dotted path of the class.
        kind: Key of `BASES`; None: the group that `key` begins with.

    Raises:
        ConfigError: The class does not exist, or is not a subclass of the base class of its kind.
    """
    module_name, _, name = target.rpartition(".")
    try:
        imported = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key}._target_: cannot import {target}: {error}{_missing_extra(error)}") from error
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{key}._target_: cannot import {target}: {reason}") from error
    if not isinstance(imported, type):
        raise ConfigError(f"{key}._target_: {target} is not a class")
    group = kind or key.partition(".")[0]
    bases = (base_of(group), *map(_imported, OTHER_BASES.get(group, ())))
    if not issubclass(imported, bases):
        names = " or ".join((BASES[group], *OTHER_BASES.get(group, ())))
        raise ConfigError(f"{key}._target_: {target} must be a subclass of {names}")
    if inspect.isabstract(imported):
        missing = ", ".join(sorted(getattr(imported, "__abstractmethods__", ())))
        raise ConfigError(f"{key}._target_: {target} does not implement {missing}, which every {group} needs")
    return imported


def is_torch_optimizer(imported: type[Any]) -> bool:
    """Whether a class has torch.optim's interface instead of rnnbench's own."""
    return issubclass(imported, _imported(TORCH_OPTIMIZER))


def _imported(target: str) -> type[Any]:
    module_name, _, name = target.rpartition(".")
    imported: type[Any] = getattr(importlib.import_module(module_name), name)
    return imported


def _missing_extra(error: Exception) -> str:
    """The command that installs a package that is missing, as the end of a message."""
    extra = EXTRAS.get(getattr(error, "name", None) or "")
    return f"; pip install 'rnnbench[{extra}]' installs it" if extra else ""


def check_targets(configs: Sequence[Config]) -> None:
    """Import every class that some configurations name.

    Raises:
        ConfigError: A class does not exist, or is not a subclass of the base class of its group.
    """
    for key, target in {
        (key, choice._target_): None for config in configs for key, choice in built_choices(config).items()
    }:
        import_class(key, target)
