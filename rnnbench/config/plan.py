"""Composes and checks all jobs of one call of `rnnbench train` before any work."""

import contextlib
import copy
import os
import time
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from rnnbench.config.compose import EXPERIMENT, GROUPS, Composer
from rnnbench.config.composed import Composed
from rnnbench.config.errors import ConfigError
from rnnbench.config.folders import (
    RUN_DIR,
    SUBDIR,
    SWEEP_DIR,
    check_job_folders,
    check_run,
    check_sweep,
    make_folder,
)
from rnnbench.config.hydra_keys import (
    GRID_SWEEPERS,
    check_hydra,
    check_launcher,
    check_same_sweep,
    check_sweeper,
    is_sweep,
)
from rnnbench.config.launcher_settings import LauncherSettings
from rnnbench.config.objects import to_config
from rnnbench.config.overrides import expand_sweep, follow_swept_groups, quoted, refuse_keys, zipped_keys
from rnnbench.config.request import Request
from rnnbench.config.schema import CHOICE_GROUPS, Config
from rnnbench.config.setting import set_value
from rnnbench.config.validate import validate
from rnnbench.records.errors import RecordError
from rnnbench.records.identity import run_identity
from rnnbench.records.lock import FILE_NAME as LOCK
from rnnbench.records.lock import locked_folder

OF_SWEEPS = ("hydra.sweep.", "hydra.sweeper.", "hydra.launcher.")
"""Beginnings of Hydra's keys that a single run does not use."""

SECONDS_BETWEEN_REPORTS = 0.5
MOST_NAMED = 3
"""Largest number of choices of a group that are listed in the name of a sweep's folder."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Plan:
    """The composed jobs of a run or a sweep, and their folder.

    Attributes:
        request: Options and overrides for Hydra's own command line.
        main: Configuration of the run, or of the sweep without the swept values.
        jobs: Configuration of each job. If a sweeper chooses the values during the sweep, one job with the defaults.
        loader: Hydra's loader of configurations.
        folder: Run folder, or folder of the sweep, which contains one run folder per job.
        sweep: Whether it is a sweep.
        numbered: Whether the name of the folder contains the time, so that a number may be added to it.
        is_grid: Whether the jobs of a sweep are known beforehand: all combinations of the values.
        launcher: Settings of the launcher `batched`; None for a single run or a sweep with another launcher.
        subdirs: Run folder of each job of a sweep, relative to the folder of the sweep.
    """

    request: Request
    main: Composed
    jobs: tuple[Composed, ...]
    loader: ConfigLoader
    folder: Path
    sweep: bool
    numbered: bool
    is_grid: bool = True
    launcher: LauncherSettings | None = None
    subdirs: tuple[str, ...] = ()

    @property
    def configs(self) -> list[Config]:
        """The typed configuration of each job."""
        return [job.config for job in self.jobs]

    @property
    def hydra(self) -> DictConfig:
        """Hydra's own part of the configuration."""
        part: DictConfig = self.main.hydra.hydra
        return part

    @property
    def is_left_to_hydra(self) -> bool:
        """Whether Hydra composes the jobs itself: with another launcher or sweeper, or if hydra.verbose is set."""
        is_supported = not self.sweep or (self.is_grid and self.launcher is not None)
        return not is_supported or bool(self.hydra.verbose)

    @contextlib.contextmanager
    def locked_folder(self) -> Iterator[Path]:
        """Create the folder and lock it, so that only one of several simultaneous commands uses it.

        Yields:
            Path of the folder.

        Raises:
            ConfigError: The folder cannot be created, or another command has used it since it was checked.
        """
        folder = make_folder(self.folder, self._folder_key, numbered=self.numbered)
        with contextlib.ExitStack() as locks:
            try:
                locks.enter_context(locked_folder(folder))
            except RecordError as error:
                raise ConfigError(f"{self._folder_key}: {error}") from error
            if any(name != LOCK for name in os.listdir(folder)):
                self._check_again(folder)
            yield folder

    def request_in(self, folder: Path) -> Request:
        """The request with the given folder, for Hydra's own command line."""
        return self.request.with_overrides(f"{self._folder_key}={quoted(str(folder))}")

    @property
    def _folder_key(self) -> str:
        return SWEEP_DIR if self.sweep else RUN_DIR

    def _check_again(self, folder: Path) -> None:
        """Check the contents of the folder again once it is locked."""
        if self.sweep:
            check_sweep(folder, numbered=False)
            check_job_folders(folder, self.subdirs, is_new=False, has_plan=self.launcher is not None)
        else:
            check_run(folder, numbered=False)


def make_plan(request: Request, progress: Progress | None = None) -> Plan:
    """Compose and check every job of a request; nothing is created.

    Args:
        request: Options and overrides of the command.
        progress: Called from time to time with the number of composed jobs and the total number.

    Raises:
        ConfigError: A job cannot be run, as far as this can be checked without torch.
    """
    with Composer(request) as composer:
        plain = [item for item in composer.parse(request.overrides) if not item.is_sweep_override()]
        hydra = composer.compose_hydra([str(item.input_line) for item in plain])
        if not request.show and (request.multirun or is_sweep(hydra)):
            return _plan_sweep(request, composer, hydra, progress)
        if not request.show:
            refuse_keys(plain, OF_SWEEPS, "is for sweeps, which need -m (in Python: rnnbench.sweep)")
        run = composer.compose(request.overrides)
        validate(run.config)
        folder, numbered = _folder(run, RUN_DIR)
        if not request.show:
            check_run(folder, numbered=numbered)
            check_hydra(run)
        return Plan(request, run, (run,), composer.loader, folder, sweep=False, numbered=numbered)


def _plan_sweep(request: Request, composer: Composer, hydra: DictConfig, progress: Progress | None) -> Plan:
    """Plan a sweep; if a sweeper chooses the values during the sweep, the defaults are checked instead.

    Args:
        request: Options and overrides of the command.
        composer: Composer of the request.
        hydra: Hydra's own part of the configuration, without the swept choices.
        progress: Callback as in `make_plan`.
    """
    is_grid = hydra.sweeper._target_ in GRID_SWEEPERS
    given = composer.parse(request.overrides)
    refuse_keys(given, (RUN_DIR,), f"is the folder of a single run; that of a sweep is {SWEEP_DIR}")
    params = (hydra.sweeper.params or {}) if is_grid else {}
    in_file = composer.parse([f"{key}={value}" for key, value in params.items()])
    swept_groups = [item.key_or_group for item in given if item.is_sweep_override() and composer.is_group(item)]
    swept_groups += [item.key_or_group for item in in_file if composer.is_group(item)]
    lines = [*follow_swept_groups(given, swept_groups), *(["hydra.mode=MULTIRUN"] if hydra.mode is not None else [])]
    overrides = composer.parse(lines)
    main = _outside_jobs(composer, overrides, in_file)
    _check_keys(composer, main, [*in_file, *(item for item in given if item.is_sweep_override())], swept_groups)
    check_hydra(main)
    check_sweeper(main.hydra.hydra.sweeper)
    launcher = check_launcher(main.hydra.hydra)
    if is_grid:
        jobs = list(_jobs_of_grid(composer, main, [*in_file, *overrides], progress))
    else:
        validate(main.config)
        jobs = [(main, main.resolve(SUBDIR, 0))]
    folder, numbered = _folder(_with_names(main, _choices(given, [job for job, _ in jobs])), SWEEP_DIR)
    check_sweep(folder, numbered=numbered)
    subdirs = tuple(subdir for _, subdir in jobs)
    check_job_folders(folder, subdirs, is_new=numbered, has_plan=launcher is not None)
    return Plan(
        replace(request, overrides=tuple(lines), multirun=True),
        main,
        tuple(job for job, _ in jobs),
        composer.loader,
        folder,
        sweep=True,
        is_grid=is_grid,
        numbered=numbered,
        launcher=launcher,
        subdirs=subdirs,
    )


def _outside_jobs(composer: Composer, given: Sequence[Override], in_file: Sequence[Override]) -> Composed:
    """What holds for all jobs; a key without a default that is swept has the value of the first job."""
    tree, hydra = composer.compose_tree([str(item.input_line) for item in given if not item.is_sweep_override()])
    missing = OmegaConf.missing_keys(tree)
    swept = {item.get_key_element(): item for item in (*in_file, *given) if item.is_discrete_sweep()}
    for key in missing & swept.keys():
        (first,) = composer.parse(expand_sweep([swept[key]])[0])
        set_value(first, tree, GROUPS)
    return Composed(to_config(tree), tree, hydra, tuple(given))  # all overrides, as Hydra itself has them


def _check_keys(composer: Composer, main: Composed, swept: Sequence[Override], swept_groups: Sequence[str]) -> None:
    """Check that all swept groups and keys exist, before their values are looked at.

    Keys of a group whose choice is swept are left to the jobs, because the choices have different keys.
    """
    depends_on_job = tuple(f"{group}." for group in (GROUPS if EXPERIMENT in swept_groups else swept_groups))
    for override in swept:
        if not override.key_or_group.startswith(depends_on_job):
            composer.check_exists(override, main)


def _jobs_of_grid(
    composer: Composer, main: Composed, overrides: Sequence[Override], progress: Progress | None
) -> Iterator[tuple[Composed, str]]:
    """Every job of a grid with the name of its folder."""
    swept = {item.get_key_element() for item in overrides if item.is_sweep_override()}
    labels: dict[Hashable, str] = {}  # identity of the run -> label of its job
    checked = {id(main.hydra)}  # jobs with the same choices share Hydra's part
    sweeper = main.hydra.hydra.sweeper  # only the sweeper `planned` has `zip`
    zipped = zipped_keys(OmegaConf.to_container(sweeper.zip)) if "zip" in sweeper else []
    lines = expand_sweep(overrides, zipped)
    for number, job in enumerate(_compose_jobs(composer, lines, swept, progress)):
        label = _label(number, job.override_lines(swept))
        if id(job.hydra) not in checked:
            check_same_sweep(job, main, label)
            checked.add(id(job.hydra))
        first = labels.setdefault(run_identity(job.config), label)
        if first is not label:
            raise ConfigError(f"{label} is the same run as {first} and would count twice; remove one of them")
        yield job, job.resolve(SUBDIR, number)


def _label(number: int, lines: Sequence[str]) -> str:
    """The name of a job in a message: its number, and what distinguishes it from the others."""
    return f"job {number} ({' '.join(lines)})"


def _compose_jobs(
    composer: Composer, jobs: Sequence[Sequence[str]], swept: Container[str], progress: Progress | None
) -> Iterator[Composed]:
    """Compose and check every job; if there are several, an error names the job.

    Args:
        composer: Composer of the request.
        jobs: Overrides of each job.
        swept: Keys whose values distinguish the jobs.
        progress: Callback as in `make_plan`.
    """
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
            own = [str(item.input_line) for item in composer.parse(lines) if item.get_key_element() in swept]
            raise ConfigError(f"{_label(number, own)}: {error}") from error
        yield composed


def _choices(given: Sequence[Override], jobs: Sequence[Composed]) -> dict[str, list[str]]:
    """The names of the choices that the jobs of a sweep have in each group.

    Args:
        given: Overrides of the command; they name the choices that a searching sweeper may make.
        jobs: Composed jobs.
    """
    names = {group: list(dict.fromkeys(getattr(job.config, group).name for job in jobs)) for group in CHOICE_GROUPS}
    if len(jobs) == 1:
        swept = [item for item in given if item.is_discrete_sweep() and item.key_or_group in names]
        names |= {item.key_or_group: list(item.sweep_string_iterator()) for item in swept}
    return names


def _with_names(main: Composed, choices: Mapping[str, Sequence[str]]) -> Composed:
    """The configuration of a sweep with the names of all its choices, for the name of its folder.

    The sweep itself is composed without the swept choices, hence with their defaults.

    Args:
        main: Configuration of the sweep without the swept values.
        choices: Group -> names of its choices.
    """
    tree = copy.deepcopy(main.tree)
    for group, names in choices.items():
        tree[group].name = "-".join(names) if len(names) <= MOST_NAMED else f"{len(names)}_{group}s"
    return replace(main, tree=tree)


def _folder(composed: Composed, key: str) -> tuple[Path, bool]:
    """The folder that one of Hydra's keys sets, and whether its name contains the time.

    Raises:
        ConfigError: The value cannot be resolved, or is empty.
    """
    raw: Any = OmegaConf.to_container(composed.hydra, resolve=False)
    for part in key.split("."):
        raw = raw[part]
    name = composed.resolve(key)
    if not name.strip():
        raise ConfigError(f"{key} must name a folder, got {name!r}")
    return Path(name), "${now:" in str(raw)
