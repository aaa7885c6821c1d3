"""Hydra's own keys: what a run or a sweep cannot do with them is found before any work."""

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
GRID_SWEEPERS = (
    "hydra_plugins.rnnbench_batched.PlannedSweeper",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
)
"""Sweepers whose jobs are all combinations of the values, known beforehand."""

OF_A_WHOLE_SWEEP = ("launcher", "sweeper", "callbacks", "searchpath", "sweep.dir")
"""Keys of Hydra's part that a sweep has once, whatever choices are swept."""


def is_sweep(hydra: DictConfig) -> bool:
    """Whether the configuration itself asks for a sweep.

    Args:
        hydra: Hydra's own part.
    """
    return bool(hydra.mode == RunMode.MULTIRUN)


def check_hydra(composed: Composed) -> None:
    """Check the keys that a run has as well as a sweep.

    Args:
        composed: The run, or the sweep without the values that are swept.

    Raises:
        ConfigError: The first value that cannot be.
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
    """Check the keys of hydra.sweeper; those of another sweeper than the two of `GRID_SWEEPERS` are its own affair.

    Raises:
        ConfigError: The first value that cannot be.
    """
    if sweeper._target_ in GRID_SWEEPERS and sweeper.max_batch_size is not None and sweeper.max_batch_size < 1:
        raise ConfigError(f"hydra.sweeper.max_batch_size must be null or >= 1, got {sweeper.max_batch_size}")


def check_launcher(hydra: DictConfig) -> LauncherSettings | None:
    """Check the keys of hydra.launcher, and those that the launcher `batched` cannot obey.

    Args:
        hydra: Hydra's own part.

    Returns:
        The settings; None for another launcher, whose keys are its own affair.

    Raises:
        ConfigError: The first value that cannot be.
    """
    launcher = hydra.launcher
    if launcher["_target_"] != BATCHED_LAUNCHER:
        return None
    limits = launcher["processes"], launcher["max_replicas"]
    settings = LauncherSettings(launcher["backend"], *limits, dict(launcher["submitit"]))
    check_settings(settings)
    if settings.backend.startswith("submitit") and importlib.util.find_spec("submitit") is None:
        raise ConfigError(f"hydra.launcher.backend={settings.backend} needs submitit: pip install 'rnnbench[slurm]'")
    for name in ("chdir", "env_set", "env_copy"):
        if hydra.job[name]:
            raise ConfigError(
                f"hydra.job.{name} cannot be obeyed by hydra/launcher=batched, whose jobs share a process: "
                "leave it out, or use hydra/launcher=basic"
            )
    return settings


def check_same_sweep(job: Composed, sweep: Composed, words: str) -> None:
    """Check that a job's choices change nothing that a sweep has once.

    Args:
        job: The job.
        sweep: The sweep without the values that are swept.
        words: What tells the job from the others, for the message.

    Raises:
        ConfigError: They do, as an experiment does that chooses a launcher and is swept itself.
    """
    for key in OF_A_WHOLE_SWEEP:
        if _raw(job.hydra, key) != _raw(sweep.hydra, key):
            raise ConfigError(
                f"{words} sets hydra.{key}, which a sweep has once for all jobs: "
                "give it on the command line, or name this choice alone"
            )


def _raw(hydra: DictConfig, key: str) -> Any:
    """The value of one of Hydra's keys, interpolations not resolved."""
    value: Any = OmegaConf.to_container(hydra.hydra, resolve=False)
    for part in key.split("."):
        value = value[part]
    return value


def callback_targets(hydra: DictConfig) -> Mapping[str, str]:
    """The class of every callback, by its dotted key."""
    return {f"hydra.callbacks.{name}": settings._target_ for name, settings in hydra.callbacks.items()}


def check_callbacks(targets: Mapping[str, str], *, batched: bool) -> None:
    """Import the classes of callbacks.

    Args:
        targets: From `callback_targets`.
        batched: Whether they are those of a sweep through the launcher `batched`.

    Raises:
        ConfigError: There is no such class, or it waits for what the launcher does not tell.
    """
    for key, target in targets.items():
        found = import_class(key, target, "callback")
        for name in ("on_job_start", "on_job_end"):
            if batched and getattr(found, name, None) not in (None, getattr(Callback, name)):
                raise ConfigError(f"{key}: hydra/launcher=batched calls no {name}; use hydra/launcher=basic")
