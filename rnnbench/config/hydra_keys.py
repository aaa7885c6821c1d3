"""Checks of Hydra's own keys, before any work."""

import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from rnnbench.config.classes import import_class
from rnnbench.config.composed import Composed
from rnnbench.config.errors import ConfigError
from rnnbench.config.launcher_settings import LauncherSettings, check_settings

BATCHED_LAUNCHER = "hydra_plugins.rnnbench_batched.BatchedLauncher"
PLANNED_SWEEPER = "hydra_plugins.rnnbench_batched.PlannedSweeper"
GRID_SWEEPERS = (
    PLANNED_SWEEPER,
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
)
"""Sweepers whose jobs are known beforehand: all combinations of the values."""

SWEEP_WIDE_KEYS = ("launcher", "sweeper", "callbacks", "searchpath", "sweep.dir")
"""Keys of Hydra that must be the same for all jobs of a sweep."""


def is_sweep(hydra: DictConfig) -> bool:
    """Whether the configuration itself requests a sweep.

    Args:
        hydra: Hydra's own part of the configuration.
    """
    return bool(hydra.mode == RunMode.MULTIRUN)


def check_hydra(composed: Composed) -> None:
    """Check the keys that apply to both runs and sweeps.

    Args:
        composed: Configuration of the run, or of the sweep without the swept values.

    Raises:
        ConfigError: The first invalid value.
    """
    hydra = composed.hydra.hydra
    name = composed.resolve("hydra.job.name")
    if "/" in name:
        raise ConfigError(f"hydra.job.name is the name of the log file and cannot contain '/', got {name!r}")
    subdir = hydra.output_subdir
    if subdir is not None and (Path(subdir).is_absolute() or ".." in Path(subdir).parts):
        raise ConfigError(f"hydra.output_subdir must name a folder inside that of the run, or be null, got {subdir!r}")
    for variable in hydra.job.env_copy:
        if variable not in os.environ:
            raise ConfigError(f"hydra.job.env_copy: there is no environment variable {variable}")
    for callback, settings in hydra.callbacks.items():
        if not isinstance(settings, DictConfig) or not isinstance(settings.get("_target_"), str):
            raise ConfigError(f"hydra.callbacks.{callback} needs the key _target_, the dotted path of a class")


def check_sweeper(sweeper: DictConfig) -> None:
    """Check the keys of hydra.sweeper; only those of the sweepers in `GRID_SWEEPERS` are checked.

    Raises:
        ConfigError: The first invalid value.
    """
    if sweeper._target_ in GRID_SWEEPERS and sweeper.max_batch_size is not None and sweeper.max_batch_size < 1:
        raise ConfigError(f"hydra.sweeper.max_batch_size must be null or >= 1, got {sweeper.max_batch_size}")


def check_launcher(hydra: DictConfig) -> LauncherSettings | None:
    """Check the keys of hydra.launcher, and the keys that the launcher `batched` does not support.

    Args:
        hydra: Hydra's own part of the configuration.

    Returns:
        The settings; None for another launcher, whose keys are not checked.

    Raises:
        ConfigError: The first invalid value.
    """
    launcher = hydra.launcher
    if launcher["_target_"] != BATCHED_LAUNCHER:
        return None
    limits = launcher["processes"], launcher["max_replicas"]
    settings = LauncherSettings(launcher["backend"], *limits, dict(launcher["submitit"]), launcher["fail_fast"])
    check_settings(settings)
    if settings.backend.startswith("submitit") and importlib.util.find_spec("submitit") is None:
        raise ConfigError(f"hydra.launcher.backend={settings.backend} needs submitit: pip install 'rnnbench[slurm]'")
    for name in ("chdir", "env_set", "env_copy"):
        if hydra.job[name]:
            raise ConfigError(
                f"hydra.job.{name} is not supported by hydra/launcher=batched, whose jobs share a process: "
                "omit it, or use hydra/launcher=basic"
            )
    return settings


def check_same_sweep(job: Composed, sweep: Composed, label: str) -> None:
    """Check that the choices of a job do not change keys that are common to all jobs of a sweep.

    Args:
        job: Configuration of the job.
        sweep: Configuration of the sweep without the swept values.
        label: Number and values of the job, for the message.

    Raises:
        ConfigError: They do; for example, a swept experiment chooses a launcher.
    """
    for key in SWEEP_WIDE_KEYS:
        if _raw(job.hydra, key) != _raw(sweep.hydra, key):
            raise ConfigError(
                f"{label} sets hydra.{key}, which must be the same for all jobs of a sweep: "
                "set it on the command line, or do not sweep this choice"
            )


def _raw(hydra: DictConfig, key: str) -> Any:
    """The value of one of Hydra's keys, with interpolations not resolved."""
    value: Any = OmegaConf.to_container(hydra.hydra, resolve=False)
    for part in key.split("."):
        value = value[part]
    return value


def callback_targets(hydra: DictConfig) -> Mapping[str, str]:
    """Dotted key of every callback -> its class."""
    return {f"hydra.callbacks.{name}": settings._target_ for name, settings in hydra.callbacks.items()}


def check_callbacks(targets: Mapping[str, str], *, batched: bool) -> None:
    """Import the classes of callbacks.

    Args:
        targets: Result of `callback_targets`.
        batched: Whether the sweep uses the launcher `batched`.

    Raises:
        ConfigError: A class does not exist, or implements a method that the launcher does not call.
    """
    for key, target in targets.items():
        callback_class = import_class(key, target, "callback")
        for name in ("on_job_start", "on_job_end"):
            if batched and getattr(callback_class, name, None) not in (None, getattr(Callback, name)):
                raise ConfigError(f"{key}: hydra/launcher=batched calls no {name}; use hydra/launcher=basic")
