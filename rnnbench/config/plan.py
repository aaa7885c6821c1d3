"""The jobs of one call of `rnnbench train`, all of them checked before any work."""

import contextlib
import importlib.util
import os
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import OmegaConf

from rnnbench.config.compose import Composer
from rnnbench.config.composed import Composed
from rnnbench.config.errors import ConfigError
from rnnbench.config.explain import show_value
from rnnbench.config.folders import (
    RUN_DIR,
    SUBDIR,
    SWEEP_DIR,
    check_job_folders,
    check_run,
    check_sweep,
    make_folder,
)
from rnnbench.config.launcher_settings import AUTO, BACKENDS, LauncherSettings
from rnnbench.config.nearest import not_a_choice
from rnnbench.config.overrides import expand_sweep, follow_swept_groups, quoted
from rnnbench.config.request import Request
from rnnbench.config.schema import Config
from rnnbench.config.validate import validate
from rnnbench.records.errors import RecordError
from rnnbench.records.identity import run_identity
from rnnbench.records.lock import FILE_NAME as LOCK
from rnnbench.records.lock import locked_folder

BATCHED_LAUNCHER = "hydra_plugins.rnnbench_batched.BatchedLauncher"
GRID_SWEEPERS = (
    "hydra_plugins.rnnbench_batched.PlannedSweeper",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
)
"""Sweepers whose jobs are all combinations of the values, known beforehand."""

SECONDS_BETWEEN_REPORTS = 0.5
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """What will be run, and where.

    Attributes:
        request: For Hydra, with overrides that mean these jobs.
        configs: One per job.
        folder: The run folder, or the sweep's folder, which holds a run folder per job.
        sweep: Whether it is a sweep.
        numbered: Whether the folder's name is made from the time, so that a number may be added to it.
        launcher: Of a sweep through the launcher `batched`, its settings; else None.
        subdirs: Of a sweep, the folder of each job inside the sweep's.
    """

    request: Request
    configs: tuple[Config, ...]
    folder: Path
    sweep: bool
    numbered: bool
    launcher: LauncherSettings | None = None
    subdirs: tuple[str, ...] = ()

    @contextlib.contextmanager
    def taken_folder(self) -> Iterator[tuple[Path, Request]]:
        """Make the folder and hold it: of commands that begin at the same moment, one gets it.

        Yields:
            The folder, and the request that names it to Hydra.

        Raises:
            ConfigError: The folder cannot be made, or another command has taken it since it was checked.
        """
        key = SWEEP_DIR if self.sweep else RUN_DIR
        folder = make_folder(self.folder, key, numbered=self.numbered)
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(locked_folder(folder))
            except RecordError as error:
                raise ConfigError(f"{key}: {error}") from error
            if any(name != LOCK for name in os.listdir(folder)):
                self._check_again(folder)
            yield folder, self.request.with_overrides(f"{key}={quoted(str(folder))}")

    def _check_again(self, folder: Path) -> None:
        """Check what is in the folder, once nobody else can begin there."""
        if self.sweep:
            check_sweep(folder, numbered=False)
            check_job_folders(folder, self.subdirs, is_new=False, has_plan=self.launcher is not None)
        else:
            check_run(folder, numbered=False)


def make_plan(request: Request, progress: Progress | None = None) -> Plan:
    """Compose and check every job of a request; nothing is created.

    Args:
        request: What was asked for.
        progress: Called now and then, while many jobs are composed, with how many are done and how many there are.

    Raises:
        ConfigError: Anything that would stop one of the jobs, as far as it can be known without torch.
    """
    with Composer(request) as composer:
        overrides = composer.parse(request.overrides)
        if request.multirun or _asks_for_sweep(overrides):
            return _plan_sweep(request, composer, overrides, progress)
        composed = composer.compose(request.overrides)
        validate(composed.config)
        folder, numbered = _folder(composed, RUN_DIR)
        if not request.show:
            check_run(folder, numbered=numbered)
        return Plan(request, (composed.config,), folder, sweep=False, numbered=numbered)


def check_launcher(launcher: Mapping[str, Any]) -> LauncherSettings | None:
    """Check the keys of hydra.launcher; those of another launcher are its own affair.

    Args:
        launcher: Keys and values, the types of the schema.

    Returns:
        The settings; None for another launcher.

    Raises:
        ConfigError: The first value that cannot be.
    """
    if launcher["_target_"] != BATCHED_LAUNCHER:
        return None
    backend = launcher["backend"]
    if backend not in BACKENDS:
        raise ConfigError(not_a_choice("hydra.launcher.backend", str(backend), BACKENDS))
    if backend.startswith("submitit") and importlib.util.find_spec("submitit") is None:
        raise ConfigError(f"hydra.launcher.backend={backend} needs submitit: pip install 'rnnbench[slurm]'")
    for name in ("processes", "max_replicas"):
        value = launcher[name]
        if value != AUTO and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ConfigError(f"hydra.launcher.{name} must be auto or a whole number >= 1, got {show_value(value)}")
    return LauncherSettings(backend, launcher["processes"], launcher["max_replicas"], dict(launcher["submitit"]))


def _asks_for_sweep(overrides: Sequence[Override]) -> bool:
    """Whether hydra.mode=MULTIRUN stands for -m."""
    return any(item.key_or_group == "hydra.mode" and str(item.value()) == RunMode.MULTIRUN.name for item in overrides)


def _plan_sweep(request: Request, composer: Composer, overrides: Sequence[Override], progress: Progress | None) -> Plan:
    """The plan of a sweep; where a sweeper chooses the values itself, the defaults are checked in their place."""
    swept_groups = [item.key_or_group for item in overrides if item.is_sweep_override() and composer.is_group(item)]
    lines = tuple(follow_swept_groups(overrides, swept_groups))
    overrides = composer.parse(lines)
    main = composer.compose([str(item.input_line) for item in overrides if not item.is_sweep_override()])
    folder, numbered = _folder(main, SWEEP_DIR)
    check_sweep(folder, numbered=numbered)
    launcher = check_launcher(main.hydra.hydra.launcher)
    sweeper = main.hydra.hydra.sweeper
    swept: set[str] = set()
    if sweeper._target_ in GRID_SWEEPERS:
        from_file = composer.parse([f"{key}={value}" for key, value in (sweeper.params or {}).items()])
        swept = {item.get_key_element() for item in (*from_file, *overrides) if item.is_sweep_override()}
        jobs = _compose_jobs(composer, expand_sweep([*from_file, *overrides]), progress)
    else:
        validate(main.config)
        jobs = iter([main])
    configs: list[Config] = []
    subdirs: list[str] = []
    values: dict[Hashable, str] = {}
    for number, job in enumerate(jobs):
        own_values = f"job {number} ({' '.join(job.lines(swept))})"
        same = values.setdefault(run_identity(job.config), own_values)
        if same is not own_values:
            raise ConfigError(f"{own_values} is the same run as {same}: it would count twice; leave one of them out")
        subdirs.append(job.resolve(SUBDIR, number))
        configs.append(job.config)
    check_job_folders(folder, subdirs, is_new=numbered, has_plan=launcher is not None)
    request = replace(request, overrides=lines)
    return Plan(request, tuple(configs), folder, True, numbered, launcher, tuple(subdirs))


def _compose_jobs(composer: Composer, jobs: Sequence[Sequence[str]], progress: Progress | None) -> Iterator[Composed]:
    """Compose and check every job; an error names the job where there are several."""
    reported = time.monotonic()
    for number, lines in enumerate(jobs):
        now = time.monotonic()
        if progress is not None and now >= reported + SECONDS_BETWEEN_REPORTS:
            reported = now
            progress(number, len(jobs))
        try:
            composed = composer.compose(lines)
            validate(composed.config)
        except ConfigError as error:
            if len(jobs) == 1:
                raise
            raise ConfigError(f"job {number} ({' '.join(lines)}): {error}") from error
        yield composed


def _folder(composed: Composed, key: str) -> tuple[Path, bool]:
    """The folder that one of Hydra's keys names, and whether its name is made from the time.

    Raises:
        ConfigError: It is not known, or no name.
    """
    raw: Any = OmegaConf.to_container(composed.hydra, resolve=False)
    for part in key.split("."):
        raw = raw[part]
    name = composed.resolve(key)
    if not name.strip():
        raise ConfigError(f"{key} must name a folder, got {name!r}")
    return Path(name), "${now:" in str(raw)
