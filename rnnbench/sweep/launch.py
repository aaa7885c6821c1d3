"""What the launcher `batched` does: from the jobs of a sweep to their finished folders."""

import sys
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path

from rnnbench.config.classes import own_targets
from rnnbench.config.compose import Composer
from rnnbench.config.job_folder import write_job_folder
from rnnbench.config.launcher_settings import LauncherSettings
from rnnbench.config.request import Request
from rnnbench.config.schema import Config
from rnnbench.config.trust import Trusted
from rnnbench.config.validate import validate
from rnnbench.exit_status import OK
from rnnbench.machine import resolve_device
from rnnbench.records import is_sweep_folder
from rnnbench.records.identity import run_identity
from rnnbench.records.messages import say
from rnnbench.records.objective import objective_of
from rnnbench.sweep.backend_choice import choose_backend
from rnnbench.sweep.backends import run_groups
from rnnbench.sweep.closing import print_sweep_summary
from rnnbench.sweep.plan import new_plan, read_plan
from rnnbench.sweep.planning import plan_groups, plan_lines


class Launch:
    """Runs the jobs that a sweeper hands over, all at once or some at a time.

    Attributes:
        status: The worst exit status so far.
    """

    def __init__(self, request: Request, folder: Path, trusted: Trusted, *, quiet: bool) -> None:
        """Nothing is done yet.

        Args:
            request: Of the sweep; its overrides for Hydra itself hold for every job.
            folder: Of the sweep, which exists and is held by this process.
            trusted: The folders in which the classes that the jobs name are looked for.
            quiet: No progress on the terminal.
        """
        self.request, self.folder, self.trusted, self.quiet = request, folder, trusted, quiet
        self.status = OK
        self._has_begun = False
        self._folder_of: dict[Hashable, str] = {}  # by the identity of the run

    def __call__(self, settings: LauncherSettings, job_overrides: Sequence[Sequence[str]], first: int) -> list[float]:
        """Run jobs.

        Args:
            settings: Of the launcher.
            job_overrides: Of each job.
            first: Number of the first one.

        Returns:
            What a sweeper that searches minimises, for each job.

        Raises:
            ConfigError: A job cannot be run.
        """
        configs, folders, of_jobs = self._make_folders(job_overrides, first)
        if configs:
            self._run(settings, configs, folders)
        return [objective_of(self.folder / name) for name in of_jobs]

    def _run(self, settings: LauncherSettings, configs: Sequence[Config], folders: Sequence[str]) -> None:
        """Add jobs to the plan of the sweep, and run them."""
        on_cpu = all(resolve_device(config.device).type == "cpu" for config in configs)
        settings = choose_backend(settings, configs, on_cpu=on_cpu)
        plan = read_plan(self.folder) if self._has_begun else new_plan(self.folder, settings, self.request.overrides)
        groups = plan_groups(configs, folders, settings)
        numbers = range(len(plan.groups), len(plan.groups) + len(groups))
        plan = plan.extended(groups)
        (self.folder / "groups").mkdir(exist_ok=True)
        plan.write()
        self._has_begun = True
        if not self.quiet:
            for line in plan_lines(plan, numbers):
                self.say(line)
        # The person has named these classes, wherever they lie.
        trusted = replace(self.trusted, modules=tuple(own_targets(configs)))
        status = run_groups(self.folder, numbers, settings, trusted, quiet=self.quiet, say=self.say)
        self.status = max(self.status, status)

    def print_summary(self) -> None:
        """Say what came of the sweep, where it has begun."""
        if is_sweep_folder(self.folder):
            print_sweep_summary(read_plan(self.folder), sys.stdout)

    def say(self, line: str) -> None:
        """Tell the person at the terminal."""
        if not self.quiet:
            say(line)

    def _make_folders(
        self, job_overrides: Sequence[Sequence[str]], first: int
    ) -> tuple[list[Config], list[str], list[str]]:
        """Make the folder of every job, but for those that an earlier job has run already.

        A sweeper that searches may propose the same values twice.

        Returns:
            The configurations of the jobs that are to be run, their folders, and for every job the folder of its run,
            all relative to the sweep's folder.
        """
        configs, folders, of_jobs = [], [], []
        with Composer(self.request) as composer:
            ours = [str(one.input_line) for one in composer.parse(self.request.overrides) if one.is_hydra_override()]
            for number, lines in enumerate(job_overrides, first):
                composed = composer.compose([*ours, *lines])
                validate(composed.config)  # not all sweepers say their values beforehand
                identity = run_identity(composed.config)
                if identity in self._folder_of:
                    self.say(f"job {number} is the same run as job {self._folder_of[identity]}, whose result it gets")
                else:
                    folder = write_job_folder(composed, self.folder, number)
                    self._folder_of[identity] = str(folder.relative_to(self.folder))
                    configs.append(composed.config)
                    folders.append(self._folder_of[identity])
                of_jobs.append(self._folder_of[identity])
        return configs, folders, of_jobs
