"""Runs the composed jobs of a sweep as batched runs."""

import shutil
import sys
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path

from rnnbench.config.classes import external_targets
from rnnbench.config.composed import Composed
from rnnbench.config.errors import ConfigError
from rnnbench.config.hydra_files import write_job_folder
from rnnbench.config.launcher_settings import LauncherSettings
from rnnbench.config.schema import Config
from rnnbench.config.trust import Trusted
from rnnbench.exit_status import OK
from rnnbench.records import is_sweep_folder
from rnnbench.records.identity import run_identity
from rnnbench.records.messages import say
from rnnbench.records.objective import objective_of
from rnnbench.records.summary import SWEEP_FILE_NAME
from rnnbench.sweeps.backend_choice import choose_backend
from rnnbench.sweeps.backends import run_groups
from rnnbench.sweeps.batches import JobBatch, batch_jobs
from rnnbench.sweeps.closing import print_sweep_summary
from rnnbench.sweeps.plan import new_plan, read_plan
from rnnbench.sweeps.planning import plan_groups, plan_lines


class BatchedSweep:
    """Runs the jobs of a sweep, all at once or in several calls.

    Args:
        overrides: Overrides of the sweep, as typed.
        folder: Existing folder of the sweep, locked by this process.
        trusted: Folders that contain the classes of the jobs.
        quiet: Whether to hide progress.

    Attributes:
        status: The worst exit status so far.
    """

    def __init__(self, overrides: Sequence[str], folder: Path, trusted: Trusted, *, quiet: bool) -> None:
        self.status = OK
        self._overrides, self._folder, self._trusted, self._quiet = overrides, folder, trusted, quiet
        self._folder_of: dict[Hashable, str] = {}  # by the identity of the run

    def run(
        self,
        settings: LauncherSettings,
        jobs: Sequence[Composed],
        first: int = 0,
        batches: Sequence[JobBatch] | None = None,
    ) -> list[float]:
        """Run jobs.

        Args:
            settings: Settings of the launcher.
            jobs: Composed jobs, validated.
            first: Number of the first job in the sweep.
            batches: Result of `batch_jobs` if all jobs are distinct; None: the jobs are batched here.

        Returns:
            The value that a sweeper minimises, for each job.

        Raises:
            ConfigError: A job cannot be run.
        """
        identities = [run_identity(job.config) for job in jobs]
        new: dict[Hashable, int] = {}  # a searching sweeper may propose the same values twice
        for index, identity in enumerate(identities):
            if identity not in self._folder_of:
                new.setdefault(identity, index)
        configs, numbers = [jobs[index].config for index in new.values()], [first + index for index in new.values()]
        if batches is None:
            batches = batch_jobs(configs, numbers=numbers)
        for index, identity in enumerate(identities):
            number = first + index
            if new.get(identity) == index:
                folder = write_job_folder(jobs[index], self._folder, number)
                self._folder_of[identity] = str(folder.relative_to(self._folder))
            else:
                self._say(f"job {number} has the same values as job {self._folder_of[identity]} and reuses its result")
        if new:
            self.run_in_folders(settings, configs, [self._folder_of[identity] for identity in new], batches)
        return [objective_of(self._folder / self._folder_of[identity]) for identity in identities]

    def run_in_folders(
        self,
        settings: LauncherSettings,
        configs: Sequence[Config],
        folders: Sequence[str],
        batches: Sequence[JobBatch],
    ) -> None:
        """Add distinct jobs to the plan of the sweep and run them.

        Args:
            settings: Settings of the launcher.
            configs: Configuration of each job.
            folders: Existing folder of each job, relative to the folder of the sweep.
            batches: Result of `batch_jobs`.

        Raises:
            ConfigError: A job cannot be run.
        """
        on_cpu = all(batch.setup.device.type == "cpu" for batch in batches)
        settings = choose_backend(settings, configs, on_cpu=on_cpu)
        has_begun = is_sweep_folder(self._folder)
        plan = read_plan(self._folder) if has_begun else new_plan(self._folder, settings, self._overrides)
        groups = plan_groups(batches, configs, folders, settings)
        numbers = range(len(plan.groups), len(plan.groups) + len(groups))
        are_whole = len(groups) == len(batches)  # no batch was split into groups
        setups = dict(zip(numbers, (batch.setup for batch in batches), strict=True)) if are_whole else {}
        plan = plan.extended(groups)
        (self._folder / "groups").mkdir(exist_ok=True)
        plan.write()
        for line in plan_lines(plan, numbers):
            self._say(line)
        # The user has named these classes in this command, so they are trusted wherever they are.
        trusted = replace(self._trusted, modules=tuple(external_targets(configs)))
        try:
            status = run_groups(self._folder, numbers, settings, trusted, setups, quiet=self._quiet, say=self._say)
        except ConfigError:  # no group could begin
            if not has_begun:
                self._discard(folders)
            raise
        self.status = max(self.status, status)

    def _discard(self, folders: Sequence[str]) -> None:
        """Remove the files of a sweep that could not begin, so that the same command can be tried again."""
        for name in (*folders, "groups", "submitit"):
            shutil.rmtree(self._folder / name, ignore_errors=True)
        (self._folder / SWEEP_FILE_NAME).unlink(missing_ok=True)

    def print_summary(self) -> None:
        """Print the summary of the sweep if it has started."""
        if is_sweep_folder(self._folder):
            print_sweep_summary(read_plan(self._folder), sys.stdout)

    def _say(self, line: str) -> None:
        if not self._quiet:
            say(line)
