"""A tuning from its folder: the trials of its search, and the best one trained with fresh seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rnnbench.config.classes import external_targets
from rnnbench.config.hydra_files import copy_job_files
from rnnbench.config.trust import Trusted
from rnnbench.exit_status import FAILED, OK, is_of_signal
from rnnbench.records import RecordError, is_sweep_folder
from rnnbench.records.lock import locked_folder
from rnnbench.records.messages import say
from rnnbench.records.tuning import CONFIRMATION, FILE_NAME, SEARCH, Tuning, read_tuning
from rnnbench.records.wording import count
from rnnbench.reports.groups import Group
from rnnbench.run.job_folders import Job
from rnnbench.sweeps.backends import run_groups
from rnnbench.sweeps.batched_sweep import BatchedSweep
from rnnbench.sweeps.batches import batch_jobs
from rnnbench.sweeps.closing import Outcome, group_of, outcomes_of, rank_of
from rnnbench.sweeps.group_run import split_group
from rnnbench.sweeps.plan import SweepPlan, changing_plan, read_plan
from rnnbench.sweeps.resume import resume_sweep


@dataclass(frozen=True)
class Trial:
    """A setting of a search.

    Attributes:
        number: Its number, from 1, in the order in which the settings were drawn.
        values: Searched key -> value.
        jobs: Its jobs in the plan of the search, which differ in the seed.
        outcomes: How they ended.
    """

    number: int
    values: Mapping[str, Any]
    jobs: Sequence[Job]
    outcomes: Sequence[Outcome]

    @property
    def group(self) -> Group | None:
        """The runs as a group of a report; None: there are no records."""
        return group_of(self.outcomes)

    @property
    def solves(self) -> bool:
        """Whether at least half of its runs are solved."""
        return 2 * sum(outcome.is_solved for outcome in self.outcomes) >= len(self.outcomes)

    @property
    def has_failed(self) -> bool:
        """Whether an error of its own ended a run."""
        return any(outcome.has_raised for outcome in self.outcomes)


def trials_of(plan: SweepPlan, tuning: Tuning) -> list[Trial]:
    """The trials of a search, in the order in which they were drawn.

    Args:
        plan: Plan of the search.
        tuning: How the search was made.

    Raises:
        RecordError: The plan does not belong to this search.
    """
    found: dict[int, list[tuple[Job, Outcome, Mapping[str, Any]]]] = {}
    tables = (table for number in plan.numbers() for table in plan.tables(number))
    jobs = (job for number in plan.numbers() for job in plan.jobs(number))
    for job, outcome, table in zip(jobs, outcomes_of(plan), tables, strict=True):
        found.setdefault(tuning.trial_of(outcome.folder), []).append((job, outcome, table))
    if sorted(found) != list(range(tuning.trials)) or any(key not in found[0][0][2] for key in tuning.searched):
        raise RecordError(f"{plan.folder} does not have the trials that {plan.folder.parent / FILE_NAME} names")
    return [
        Trial(
            index + 1,
            {key: found[index][0][2][key] for key in tuning.searched},
            [job for job, _, _ in found[index]],
            [outcome for _, outcome, _ in found[index]],
        )
        for index in range(tuning.trials)
    ]


def best_of(trials: Sequence[Trial]) -> Trial:
    """The trial with the largest share solved, then the smallest median of sequences until solved, then of the loss.

    Of equally good trials it is the first. One that failed is worse than any other.
    """
    return min(trials, key=lambda trial: (trial.has_failed, *rank_of(trial.outcomes), trial.number))


def separate_failed(folder: Path, trusted: Trusted, *, quiet: bool) -> int:
    """Train the trials of each group in which one failed again, each trial as a group of its own.

    An error of one trial ends all that are trained together with it, which may have nothing to do with it.

    Args:
        folder: Folder of the tuning, locked by this process; its search has ended.
        trusted: Folders and modules whose classes may be imported.
        quiet: Whether to hide progress.

    Returns:
        The worst exit status of a group; 0 if there is none to train.
    """
    tuning, target = read_tuning(folder), folder / SEARCH
    with locked_folder(target), changing_plan(target) as plan:
        failed = {outcome.folder for outcome in outcomes_of(plan) if outcome.has_raised}
        apart: list[int] = []
        for number in plan.numbers():
            names = plan.groups[number].folders
            rows: dict[int, list[int]] = {}
            for row, name in enumerate(names):
                rows.setdefault(tuning.trial_of(name), []).append(row)
            if len(rows) > 1 and not failed.isdisjoint(names):
                plan = split_group(plan, number, list(rows.values()))
                apart += plan.groups[number].split_into
        if not apart:
            return OK
        plan.write()

    def tell(line: str) -> None:
        if not quiet:
            say(line)

    tell(f"trials that were trained together with one that failed are trained apart: {count(len(apart), 'group')}")
    configs = [config for number in apart for config in plan.groups[number].configs()]
    trusted = replace(trusted, modules=tuple(external_targets(configs)))  # those of the search have been checked
    with locked_folder(target):
        return run_groups(target, apart, plan.settings, trusted, {}, quiet=quiet, say=tell)


def confirm(folder: Path, trusted: Trusted, *, quiet: bool, accept_gap: bool = False) -> int:
    """Train the best setting of a finished search with fresh seeds, or resume that.

    The runs are made from the records of the search alone, so that they do not depend on later changes of files.

    Args:
        folder: Folder of the tuning, locked by this process.
        trusted: Folders and modules whose classes may be imported; those of the search have been checked.
        quiet: Whether to hide progress.
        accept_gap: Whether to resume jobs even if records that their checkpoint counts are lost.

    Returns:
        The worst exit status of a job; failed if the search has not ended.

    Raises:
        ConfigError, RecordError: A record is damaged, or the runs do not fit this machine.
    """
    tuning, search, target = read_tuning(folder), read_plan(folder / SEARCH), folder / CONFIRMATION
    trials = trials_of(search, tuning)
    waiting = jobs_without_result(trials)
    if waiting:
        say(f"{count(waiting, 'job')} of the search have no result, so nothing is confirmed yet")
        return FAILED
    failed = [trial for trial in trials if trial.has_failed]
    if len(failed) == len(trials):
        say("every trial of the search failed, so there is nothing to confirm")
        return FAILED
    if failed and not quiet:
        numbers = ", ".join(str(trial.number) for trial in failed)
        say(f"{count(len(failed), 'trial')} failed and count as the worst: {numbers}")
    if is_sweep_folder(target):
        return resume_sweep(target, (), quiet=quiet, closing=False, trusted=trusted, accept_gap=accept_gap)
    best = best_of(trials)
    configs = [replace(best.jobs[0].config, seed=seed) for seed in tuning.fresh_seeds]
    if not quiet:
        say(f"the best is trial {best.number}, {setting_of(best)}: {count(len(configs), 'fresh seed')} follow")
    batches = batch_jobs(configs)
    for number, seed in enumerate(tuning.fresh_seeds):
        copy_job_files(best.jobs[0].folder, target / str(number), number, seed)
    names = [str(number) for number in range(len(configs))]
    with locked_folder(target):
        overrides = [*tuning.words, *setting_of(best).split(), f"seed={','.join(map(str, tuning.fresh_seeds))}"]
        sweep = BatchedSweep(overrides, target, trusted, quiet=quiet)
        sweep.run_in_folders(search.settings, configs, names, batches)
    return sweep.status


def jobs_without_result(trials: Sequence[Trial]) -> int:
    """The number of jobs that have neither ended nor failed by an error of their own."""
    return sum(not (outcome.has_ended or outcome.has_raised) for trial in trials for outcome in trial.outcomes)


def search_and_confirm(folder: Path, trusted: Trusted, status: int, *, quiet: bool, accept_gap: bool = False) -> int:
    """Do what follows the search: train trials apart that failed together, and confirm the best.

    Args:
        folder: Folder of the tuning, locked by this process.
        trusted: Folders and modules whose classes may be imported.
        status: Exit status of the search.
        quiet: Whether to hide progress.
        accept_gap: As in `confirm`.

    Returns:
        The exit status of the tuning.
    """
    if is_of_signal(status):
        return status
    if status == FAILED and not is_sweep_folder(folder / CONFIRMATION):
        again = separate_failed(folder, trusted, quiet=quiet)
        if is_of_signal(again):
            return again
    return max(status, confirm(folder, trusted, quiet=quiet, accept_gap=accept_gap))


def setting_of(trial: Trial) -> str:
    """The searched values of a trial as overrides."""
    return " ".join(f"{key}={value!r}" for key, value in trial.values.items())


def resume_tuning(folder: Path, trusted: Trusted, *, quiet: bool, accept_gap: bool) -> int:
    """Continue a tuning: its search, then the confirmation.

    Args:
        folder: Folder of the tuning.
        trusted: Folders and modules whose classes may be imported.
        quiet: Whether to hide progress.
        accept_gap: Whether to resume jobs even if records that their checkpoint counts are lost.

    Returns:
        The exit status: 0 ended as planned, 1 a job failed, 128 + N ended by signal N.

    Raises:
        ConfigError, RecordError: A record is damaged or locked, the search has not begun, or something is not trusted.
    """
    with locked_folder(folder):
        read_tuning(folder)
        if not is_sweep_folder(folder / SEARCH):
            raise RecordError(f"{folder} has not begun its search: give the command rnnbench tune again, or remove it")
        status = OK
        if not is_sweep_folder(folder / CONFIRMATION):  # else the best is decided, whatever has failed
            status = resume_sweep(
                folder / SEARCH, (), quiet=quiet, closing=False, trusted=trusted, accept_gap=accept_gap
            )
        return search_and_confirm(folder, trusted, status, quiet=quiet, accept_gap=accept_gap)
