"""Runs jobs that Hydra itself composes, for launchers and sweepers other than rnnbench's own."""

import contextlib
import os
import traceback
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from typing_extensions import override

from rnnbench.config.compose import Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.hydra_main import call_hydra, error_before_jobs
from rnnbench.config.launcher_settings import BatchTask, LauncherSettings
from rnnbench.config.objects import to_config
from rnnbench.config.request import Request
from rnnbench.config.trust import Trusted
from rnnbench.config.validate import validate
from rnnbench.exit_status import BAD_INPUT, FAILED, OK, is_of_signal
from rnnbench.records import RecordError, read_summary
from rnnbench.records.identity import run_identity
from rnnbench.records.lock import locked_folder
from rnnbench.records.messages import say
from rnnbench.records.objective import objective_of
from rnnbench.run.job_folders import Job
from rnnbench.run.setup import set_up
from rnnbench.run.single_run import run_job
from rnnbench.sweeps.batched_sweep import BatchedSweep


def run_by_hydra(request: Request, folder: Path, trusted: Trusted, *, quiet: bool, closing: bool = True) -> int:
    """Let Hydra compose and launch the jobs of a request.

    Args:
        request: Options and overrides of the command.
        folder: Folder of the run or sweep, which this process has locked.
        trusted: Folders that contain the classes of the jobs.
        quiet: Whether to hide progress.
        closing: Whether to print a summary of each job and of the sweep.

    Returns:
        The worst exit status of a job.

    Raises:
        ConfigError: No job could start.
        SystemExit: A job is bad input, which has been reported; the cause is the error.
    """
    jobs = HydraJobs(request, folder, trusted, quiet=quiet, closing=closing)
    try:
        call_hydra(request.hydra_arguments(), request.main_dir, jobs)
    except OSError as error:
        if not jobs.statuses:
            raise error_before_jobs(error, folder) from error
        say(str(error_before_jobs(error, folder)))
        jobs.statuses.append(FAILED)
    except SystemExit as ended:
        if not isinstance(ended.code, int) or not is_of_signal(ended.code):
            raise
        return ended.code
    except Exception as error:
        if jobs.have_begun or _is_of_a_job(error):
            raise
        raise error_before_jobs(error, folder) from error
    return jobs.close()


class HydraJobs(BatchTask):
    """Runs the jobs that Hydra passes on: one by one, or many at once for the launcher `batched`.

    Attributes:
        have_begun: Whether a job has started.
        statuses: Exit statuses of the jobs so far.
    """

    def __init__(self, request: Request, folder: Path, trusted: Trusted, *, quiet: bool, closing: bool) -> None:
        self.have_begun = False
        self.statuses: list[int] = []
        self._request, self._quiet, self._closing = request, quiet, closing
        self._folder = folder.absolute()  # wherever hydra.job.chdir leads
        self._folder_of: dict[Hashable, Path] = {}  # by the identity of the run
        self._batched = BatchedSweep(request.overrides, folder, trusted, quiet=quiet)

    @override
    def __call__(self, tree: DictConfig) -> float:
        self.have_begun = True
        with _one_line():
            config = to_config(tree)
            validate(config)  # some sweepers choose values during the sweep
            folder = Path(HydraConfig.get().runtime.output_dir)
            identity = run_identity(config)
            if identity in self._folder_of:  # a searching sweeper may propose the same values twice
                if not self._quiet:
                    first = self._folder_of[identity].name
                    say(f"job {folder.name} has the same values as job {first} and reuses its result")
                return objective_of(self._folder_of[identity])
            setup = set_up([config])
            with self._locked(folder):
                status = run_job(Job(config, folder), setup, quiet=self._quiet, closing=self._closing)
            self._folder_of[identity] = folder
        if is_of_signal(status):
            raise SystemExit(status)
        self.statuses.append(status)
        return objective_of(folder)

    def _locked(self, folder: Path) -> contextlib.AbstractContextManager[None]:
        """Lock the folder of a job, which `rnnbench resume` may use; the folder of a single run is already locked."""
        return contextlib.nullcontext() if os.path.samefile(folder, self._folder) else locked_folder(folder)

    @override
    def launch(self, settings: LauncherSettings, job_overrides: Sequence[Sequence[str]], first: int) -> list[float]:
        self.have_begun = True
        with _one_line():
            with Composer(self._request) as composer:
                given = composer.parse(self._request.overrides)
                own = [str(override.input_line) for override in given if override.is_hydra_override()]
                jobs = [composer.compose([*own, *lines]) for lines in job_overrides]
            for job in jobs:
                validate(job.config)  # some sweepers choose values during the sweep
            values = self._batched.run(settings, jobs, first)
        self.statuses.append(self._batched.status)
        if is_of_signal(self._batched.status):
            raise SystemExit(self.close())
        return values

    def close(self) -> int:
        """Print the summary of a batched sweep; returns the worst exit status of a job."""
        if self._closing:
            self._batched.print_summary()
        if not self.statuses:  # the jobs ran in other processes and wrote their summaries
            folders = [path.parent for path in self._folder.rglob("summary.json")]
            self.statuses = [FAILED for folder in folders if _has_failed(folder)]
        return max(self.statuses, default=OK)


def _has_failed(folder: Path) -> bool:
    """Whether a run failed, or its summary cannot be read."""
    try:
        return read_summary(folder).status == "failed"
    except RecordError:
        return True


def _is_of_a_job(error: Exception) -> bool:
    """Whether an error was raised by a job, possibly in another process, and not by Hydra itself."""
    return any(frame.name == "return_value" for frame in traceback.extract_tb(error.__traceback__))


@contextlib.contextmanager
def _one_line() -> Iterator[None]:
    """Report an error before a job has started in one line; Hydra would print more."""
    try:
        yield
    except (ConfigError, RecordError) as error:
        say(str(error))
        raise SystemExit(BAD_INPUT) from error
