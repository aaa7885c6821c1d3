"""A tuning from its folder: the trials of its search, and the best one trained with fresh seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rnnbench.config.hydra_files import copy_job_files
from rnnbench.config.trust import Trusted
from rnnbench.exit_status import FAILED, is_of_signal
from rnnbench.records import RecordError, is_sweep_folder
from rnnbench.records.lock import locked_folder
from rnnbench.records.messages import say
from rnnbench.records.tuning import CONFIRMATION, FILE_NAME, SEARCH, Tuning, read_tuning
from rnnbench.records.wording import count
from rnnbench.reports.groups import Group
from rnnbench.run.job_folders import Job
from rnnbench.sweeps.batched_sweep import BatchedSweep
from rnnbench.sweeps.batches import batch_jobs
from rnnbench.sweeps.closing import Outcome, group_of, outcomes_of, rank_of
from rnnbench.sweeps.plan import SweepPlan, read_plan
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

    Of equally good trials it is the first.
    """
    return min(trials, key=lambda trial: (*rank_of(trial.outcomes), trial.number))


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
    waiting = sum(not outcome.has_ended for trial in trials for outcome in trial.outcomes)
    if waiting:
        say(f"{count(waiting, 'job')} of the search have no result, so nothing is confirmed yet")
        return FAILED
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
            raise RecordError(f"{folder} has not begun its search; remove it and start again")
        status = resume_sweep(folder / SEARCH, (), quiet=quiet, closing=False, trusted=trusted, accept_gap=accept_gap)
        if is_of_signal(status):
            return status
        return max(status, confirm(folder, trusted, quiet=quiet, accept_gap=accept_gap))
