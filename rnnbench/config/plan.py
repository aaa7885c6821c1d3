"""The jobs of one call of `rnnbench train`, all of them checked before any work."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rnnbench.config.compose import Composed, Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.explain import explain
from rnnbench.config.folders import check_folder, take_folder
from rnnbench.config.overrides import expand_sweep, follow_swept_groups, quoted
from rnnbench.config.request import Request
from rnnbench.config.schema import Config
from rnnbench.config.validate import validate

RUN_DIR, SWEEP_DIR = "hydra.run.dir", "hydra.sweep.dir"
BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


@dataclass(frozen=True)
class Plan:
    """What will be run, and where.

    Attributes:
        request: For Hydra, with overrides that mean these jobs.
        configs: One per job.
        folder: The run folder, or the sweep's folder, which holds a run folder per job.
        sweep: Whether it is a sweep.
        numbered: Whether the folder's name is made from the time, so that a number may be added to it.
    """

    request: Request
    configs: tuple[Config, ...]
    folder: Path
    sweep: bool
    numbered: bool

    def take_folder(self) -> tuple[Path, Request]:
        """Make the folder, and the request that names it to Hydra.

        Raises:
            ConfigError: The folder cannot be made.
        """
        key = SWEEP_DIR if self.sweep else RUN_DIR
        folder = take_folder(self.folder, key, numbered=self.numbered)
        return folder, self.request.with_overrides(f"{key}={quoted(str(folder))}")


def make_plan(request: Request) -> Plan:
    """Compose and check every job of a request; nothing is created.

    Args:
        request: What was asked for.

    Raises:
        ConfigError: Anything that would stop one of the jobs, as far as it can be known without torch.
    """
    with Composer(request) as composer:
        overrides = composer.parse(request.overrides)
        if request.multirun or _asks_for_sweep(overrides):
            return _plan_sweep(request, composer, overrides)
        composed = composer.compose(request.overrides)
        validate(composed.config)
        folder, numbered = _folder(composed.tree, RUN_DIR)
        if not request.show:
            _check(folder, RUN_DIR, numbered)
        return Plan(request, (composed.config,), folder, sweep=False, numbered=numbered)


def _asks_for_sweep(overrides: Sequence[Override]) -> bool:
    """Whether hydra.mode=MULTIRUN stands for -m."""
    return any(item.key_or_group == "hydra.mode" and str(item.value()) == RunMode.MULTIRUN.name for item in overrides)


def _plan_sweep(request: Request, composer: Composer, overrides: Sequence[Override]) -> Plan:
    """The plan of a sweep; where a sweeper chooses the values itself, the defaults are checked in their place."""
    swept_groups = [item.key_or_group for item in overrides if item.is_sweep_override() and composer.is_group(item)]
    lines = tuple(follow_swept_groups(overrides, swept_groups))
    overrides = composer.parse(lines)
    main = composer.compose([str(item.input_line) for item in overrides if not item.is_sweep_override()])
    folder, numbered = _folder(main.tree, SWEEP_DIR)
    sweeper = main.tree.hydra.sweeper
    if sweeper._target_ == BASIC_SWEEPER:
        from_file = composer.parse([f"{key}={value}" for key, value in (sweeper.params or {}).items()])
        jobs = _compose_jobs(composer, expand_sweep([*from_file, *overrides]))
    else:
        validate(main.config)
        jobs = [main]
    folders: dict[Path, int] = {}
    for number, job in enumerate(jobs):
        job.tree.hydra.job.num, job.tree.hydra.job.id = number, str(number)
        own = folder / _resolve(job.tree, "hydra.sweep.subdir")
        if own in folders:
            raise ConfigError(f"hydra.sweep.subdir: jobs {folders[own]} and {number} would share the folder {own}")
        folders[own] = number
        _check(own if not numbered else folder, SWEEP_DIR, numbered)
    configs = tuple(job.config for job in jobs)
    return Plan(replace(request, overrides=lines), configs, folder, sweep=True, numbered=numbered)


def _compose_jobs(composer: Composer, jobs: Sequence[Sequence[str]]) -> list[Composed]:
    """Compose and check every job; an error names the job where there are several."""
    composed = []
    for number, lines in enumerate(jobs):
        try:
            composed.append(composer.compose(lines))
            validate(composed[-1].config)
        except ConfigError as error:
            if len(jobs) == 1:
                raise
            raise ConfigError(f"job {number} ({' '.join(lines)}): {error}") from error
    return composed


def _check(folder: Path, key: str, numbered: bool) -> None:
    """Check a run folder; one that is named by the time gets a number where it exists, so its parent is looked at."""
    check_folder(folder.parent if numbered else folder, key)


def _folder(tree: DictConfig, key: str) -> tuple[Path, bool]:
    """The folder that one of Hydra's keys names, and whether its name is made from the time."""
    raw: Any = OmegaConf.to_container(tree, resolve=False)
    for part in key.split("."):
        raw = raw[part]
    return Path(_resolve(tree, key)), "${now:" in str(raw)


def _resolve(tree: DictConfig, key: str) -> str:
    """The text of one of Hydra's keys."""
    state = HydraConfig.instance()
    before = state.cfg
    state.set_config(tree)  # what ${hydra:...} in it refers to
    try:
        return str(OmegaConf.select(tree, key))
    except OmegaConfBaseException as error:
        raise explain(error, key) from error
    finally:
        state.cfg = before
