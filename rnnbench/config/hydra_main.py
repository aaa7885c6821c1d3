"""Runs composed jobs as Hydra does, or passes a whole command to Hydra."""

import contextlib
import copy
import io
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hydra import main as hydra_main
from hydra._internal.callbacks import Callbacks
from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import configure_log, run_job
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from rnnbench.config.composed import Composed
from rnnbench.config.errors import ConfigError
from rnnbench.config.explain import explain
from rnnbench.config.hydra_files import split_overrides
from rnnbench.config.register import register_schema
from rnnbench.config.request import Request
from rnnbench.exit_status import OK
from rnnbench.records.growing_file import reason

Task = Callable[[DictConfig], float | None]
"""Function that runs one job, given its configuration; it returns the value that a sweeper minimises."""


def run_in_hydra(run: Composed, loader: ConfigLoader, config_name: str, folder: Path, task: Task) -> None:
    """Run a composed job with all that Hydra does around it: logging, `.hydra`, callbacks, environment.

    Args:
        run: Composed job.
        loader: Hydra's loader of configurations.
        config_name: Name of the main configuration file.
        folder: Run folder.
        task: Function that runs the job.

    Raises:
        ConfigError: A value of Hydra's own keys cannot be applied; the job has not begun.
    """
    tree = _tree_with_hydra(run, RunMode.RUN, folder)
    errors: list[Exception] = []

    def begin(config: DictConfig) -> float | None:
        begun.append(True)
        try:
            return task(config)
        except Exception as error:
            errors.append(error)
            raise

    with _before_begin(folder) as begun:
        configure_log(tree.hydra.hydra_logging, tree.hydra.verbose)
        callbacks = Callbacks(tree)
        callbacks.on_run_start(config=tree, config_name=config_name)
        context = HydraContext(config_loader=loader, callbacks=callbacks)
        job = run_job(begin, tree, "hydra.run.dir", None, context)
        callbacks.on_run_end(config=tree, config_name=config_name, job_return=job)
        for error in errors:  # Hydra's `return_value` would raise it too, but print another line
            raise error


def sweep_in_hydra(sweep: Composed, config_name: str, folder: Path, launch: Callable[[], None]) -> None:
    """Run the composed jobs of a sweep with all that Hydra does around them: logging, `multirun.yaml`, callbacks.

    Args:
        sweep: Configuration of the sweep, without the swept values.
        config_name: Name of the main configuration file.
        folder: Folder of the sweep.
        launch: Function that runs the jobs.

    Raises:
        ConfigError: A value of Hydra's own keys cannot be applied; no job has begun.
    """
    tree = _tree_with_hydra(sweep, RunMode.MULTIRUN, folder)
    with _before_begin(folder) as begun:
        configure_log(tree.hydra.hydra_logging, tree.hydra.verbose)
        callbacks = Callbacks(tree)
        callbacks.on_multirun_start(config=tree, config_name=config_name)
        OmegaConf.save(tree, folder / "multirun.yaml")
        begun.append(True)
        launch()
        callbacks.on_multirun_end(config=tree, config_name=config_name)


def _tree_with_hydra(composed: Composed, mode: RunMode, folder: Path) -> DictConfig:
    """The configuration of a job or a sweep as Hydra passes it to callbacks."""
    with composed.with_hydra() as shared:
        tree: DictConfig = copy.deepcopy(shared)
    task, own = split_overrides(composed.overrides, mode)
    with read_write(tree), open_dict(tree):
        tree.hydra.mode = mode
        tree.hydra.overrides.hydra, tree.hydra.overrides.task = own, task
        own_part = tree.hydra.run if mode is RunMode.RUN else tree.hydra.sweep
        own_part.dir = str(folder).replace("${", "\\${")  # ${ in the name is no interpolation
    return tree


@contextlib.contextmanager
def _before_begin(folder: Path) -> Iterator[list[bool]]:
    """Turn an error before a job has begun into a `ConfigError`; yields a list that gets an entry when one begins."""
    begun: list[bool] = []
    try:
        yield begun
    except Exception as error:
        if begun or isinstance(error, ConfigError):
            raise
        raise error_before_jobs(error, folder) from error


def error_before_jobs(error: Exception, folder: Path) -> ConfigError:
    """The error of Hydra that keeps jobs from beginning, in one line.

    Args:
        error: Error of one of its files, for example on a full disk, or of its own keys, such as hydra.job_logging.
        folder: Folder of the run or sweep.
    """
    if isinstance(error, OSError):
        return ConfigError(f"cannot write {error.filename or folder}: {reason(error)}")
    return explain(error)


# ---------------------------------------------------------------- Hydra's own command


@contextlib.contextmanager
def _as_arguments(words: Sequence[str]) -> Iterator[None]:
    """Set sys.argv, from which Hydra reads its arguments."""
    before = sys.argv
    sys.argv = [before[0], *words]
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def _raised_errors() -> Iterator[None]:
    """Let Hydra raise errors instead of printing them and ending the process."""
    variable = "HYDRA_FULL_ERROR"
    before = os.environ.get(variable)
    os.environ[variable] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before


def call_hydra(words: Sequence[str], main_dir: Path, task: Task) -> None:
    """Run Hydra's own command line.

    Args:
        words: Options and overrides.
        main_dir: Main configuration folder.
        task: Function that runs one job; the launcher `batched` needs a
            `rnnbench.config.launcher_settings.BatchTask`.

    Raises:
        ConfigError: Hydra rejects an option, an override or a file.
        OSError: Hydra cannot write one of its files.
    """
    register_schema()
    with _as_arguments(words), _raised_errors():
        try:
            hydra_main(version_base="1.3", config_path=str(main_dir), config_name="config")(task)()
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error) from error


def show_nothing(_: DictConfig) -> None:
    """A task that does nothing, for calls of Hydra that only show something."""


def hydra_output(request: Request) -> list[str]:
    """The lines that Hydra prints for an option that shows something."""
    with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(io.StringIO()) as errors:
        try:
            call_hydra(request.hydra_arguments(), request.main_dir, show_nothing)
        except SystemExit as ended:
            if ended.code not in (None, OK):
                raise ConfigError(errors.getvalue().partition("\n")[0]) from ended
    return printed.getvalue().rstrip("\n").split("\n")
