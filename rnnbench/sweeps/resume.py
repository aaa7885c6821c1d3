"""Resumes a sweep from its files."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rnnbench.config.errors import ConfigError
from rnnbench.config.objects import to_dict
from rnnbench.config.stored import config_from, validate_stored, with_overrides
from rnnbench.config.trust import NOTHING, Trusted, check_submitit, check_trusted
from rnnbench.exit_status import FAILED, OK
from rnnbench.records import RecordError
from rnnbench.records.lock import locked_folder
from rnnbench.records.messages import say
from rnnbench.records.summary import SWEEP_FILE_NAME
from rnnbench.records.wording import count
from rnnbench.run.saved_run import used_up
from rnnbench.run.setup import set_up
from rnnbench.sweeps.backends import run_groups
from rnnbench.sweeps.closing import outcomes_of, print_sweep_summary
from rnnbench.sweeps.plan import SweepPlan, read_plan
from rnnbench.sweeps.remaining import Remaining, accept_gaps, remaining_of

FAIL_FAST = "hydra.launcher.fail_fast"
"""Key of the launcher that may be changed when a sweep is resumed."""


def resume_sweep(
    folder: Path,
    overrides: Sequence[str],
    *,
    quiet: bool,
    closing: bool = True,
    trusted: Trusted = NOTHING,
    accept_gap: bool = False,
) -> int:
    """Resume every unfinished job of a sweep, as planned in its sweep.json.

    Args:
        folder: Folder of the sweep.
        overrides: Overrides of the budget, as KEY=VALUE, or of `FAIL_FAST`; they are stored in sweep.json.
        quiet: Whether to hide progress.
        closing: Whether to print the summary of the sweep.
        trusted: Folders and modules whose classes may be imported.
        accept_gap: Whether to resume jobs even if records that their checkpoint counts are lost.

    Returns:
        The exit status: 0 ended as planned, 1 a job failed, 128 + N ended by signal N.

    Raises:
        ConfigError: sweep.json cannot be read or needs something that is not trusted, or an override is invalid.
        RecordError: No group can be resumed because checkpoints are damaged, or another process has locked the sweep.
    """

    def tell(line: str) -> None:
        if not quiet:
            say(line)

    with locked_folder(folder):
        plan = read_plan(folder)
        _check(plan, trusted)
        if overrides:
            plan = _with_overrides(plan, overrides)
        remaining, problems = _remaining(plan)
        if overrides:
            _say_what_is_used_up(plan, remaining)
            plan.write()
        for problem in problems:
            say(problem)
        for number in remaining if accept_gap else ():
            accept_gaps(plan, number, plan.jobs(number))
        status = FAILED if problems else OK
        num_jobs = sum(len(plan.groups[number].folders) for number in plan.numbers())
        if remaining:
            num_left = sum(len(part.rows) for group in remaining.values() for part in group.parts)
            tell(f"resuming {num_left} of {count(num_jobs, 'job')} in {count(len(remaining), 'group')} -> {folder}")
            # One that fails again with fail_fast must not keep the others from their turn.
            failed = {outcome.folder for outcome in outcomes_of(plan) if outcome.has_failed}
            numbers = sorted(remaining, key=lambda number: not failed.isdisjoint(plan.groups[number].folders))
            status = max(status, run_groups(folder, numbers, plan.settings, trusted, {}, quiet=quiet, say=tell))
            if closing:
                print_sweep_summary(read_plan(folder), sys.stdout)
        elif not problems:
            tell(f"{folder} is finished: all of its {count(num_jobs, 'job')}")
    return status


def _check(plan: SweepPlan, trusted: Trusted) -> None:
    """Check the contents of sweep.json before anything is written, imported or run.

    Raises:
        ConfigError: A value is outside its limits, or a class or a parameter of submitit is not trusted.
    """
    groups = [plan.groups[number] for number in plan.numbers()]
    configs = [config for group in groups for config in group.configs()]
    try:
        for config in configs:
            validate_stored(config)
    except ConfigError as error:
        raise ConfigError(f"{plan.folder / SWEEP_FILE_NAME} is damaged: {error}") from error
    places = {target: place for group in groups for target, place in group.classes.items()}
    check_trusted(plan.folder, configs, places, trusted)
    check_submitit(plan.folder, plan.settings.submitit, trusted)


def _remaining(plan: SweepPlan) -> tuple[dict[int, Remaining], list[str]]:
    """The remaining work of each group to resume, and the problems of groups and jobs that cannot be resumed.

    Raises:
        ConfigError, RecordError: No group can be resumed: one does not fit this machine, or its checkpoint cannot be
            read.
    """
    remaining, problems, first = dict[int, Remaining](), list[str](), None
    for number in plan.numbers():
        try:
            group = remaining_of(plan, number, plan.jobs(number))
            if group.parts:
                set_up(plan.groups[number].configs()[:1], starts=any(part.is_new for part in group.parts))
        except (ConfigError, RecordError) as error:
            first = first or error
            problems.append(f"group {number} is skipped: {error}")
            continue
        if group.parts:
            remaining[number] = group  # the jobs that it skips are reported when it runs
        else:
            problems += [f"{message}; its job is skipped" for message in group.skipped.values()]
    if first is not None and not remaining:
        raise first
    return remaining, problems


def _say_what_is_used_up(plan: SweepPlan, remaining: Mapping[int, Remaining]) -> None:
    """Report how many jobs would be resumed, but have used up their new budget."""
    num_jobs = 0
    for number, group in remaining.items():
        jobs = plan.jobs(number)
        for part in group.parts:
            snapshot = None if part.start is None else part.start.snapshot
            if snapshot is not None:
                used = [used_up(snapshot, jobs[row].config, place) for place, row in enumerate(part.rows)]
                num_jobs += sum(message is not None for message in used)
    if num_jobs:
        say(f"{plan.folder} has nothing left to do for {count(num_jobs, 'job')}: the budget is used up")


def _with_overrides(plan: SweepPlan, overrides: Sequence[str]) -> SweepPlan:
    """The plan with the budget of every job, or with `FAIL_FAST`, changed."""
    of_budget = [line for line in overrides if line.partition("=")[0] != FAIL_FAST]
    settings = plan.settings
    for line in overrides:
        key, _, value = line.partition("=")
        if key == FAIL_FAST:
            if value not in ("true", "false"):
                raise ConfigError(f"{FAIL_FAST} must be true or false, got {value!r}")
            settings = replace(settings, fail_fast=value == "true")
    groups = [
        replace(group, config=to_dict(with_overrides(config_from(group.config, group.schema), of_budget)))
        if of_budget
        else group
        for group in plan.groups
    ]
    return replace(plan, groups=groups, settings=settings)
