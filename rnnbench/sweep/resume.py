"""Going on with a sweep, from what is on disk."""

import sys
from collections.abc import Sequence
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
from rnnbench.run.setup import set_up
from rnnbench.sweep.backends import run_groups
from rnnbench.sweep.closing import print_sweep_summary
from rnnbench.sweep.left import Left, accept_gaps, left_of
from rnnbench.sweep.plan import SweepPlan, read_plan


def resume_sweep(
    folder: Path, overrides: Sequence[str], *, quiet: bool, trusted: Trusted = NOTHING, accept_gap: bool = False
) -> int:
    """Go on with every job of a sweep that is not finished, as its sweep.json says.

    Args:
        folder: The sweep's folder.
        overrides: A larger budget, as KEY=VALUE; it is kept in sweep.json.
        quiet: No progress on the terminal.
        trusted: The folders and modules whose classes may be imported.
        accept_gap: Jobs go on also where rows are missing that their checkpoint counts.

    Returns:
        The exit status: 0 ended as planned, 1 a job failed, 128 + N ended by signal N.

    Raises:
        ConfigError: sweep.json cannot be read, or asks for what may not be run, or an override is wrong.
        RecordError: No group can go on, as a checkpoint is damaged; or another process works on the sweep.
    """

    def tell(line: str) -> None:
        if not quiet:
            say(line)

    with locked_folder(folder):
        plan = read_plan(folder)
        _check(plan, trusted)
        if overrides:
            plan = _with_budget(plan, overrides)
        left, problems = _left(plan)
        if overrides:
            plan.write()
        for problem in problems:
            say(problem)
        if accept_gap:
            for number in left:
                accept_gaps(plan, number, plan.jobs(number))
        status = FAILED if problems else OK
        num_jobs = sum(len(plan.groups[number].folders) for number in plan.numbers())
        if left:
            num_left = sum(len(part.rows) for group in left.values() for part in group.parts)
            tell(f"{num_left} of {count(num_jobs, 'job')} go on, in {count(len(left), 'group')} -> {folder}")
            status = max(status, run_groups(folder, list(left), plan.settings, trusted, quiet=quiet, say=tell))
            print_sweep_summary(read_plan(folder), sys.stdout)
        elif not problems:
            tell(f"{folder} is finished: all of its {count(num_jobs, 'job')}")
    return status


def _check(plan: SweepPlan, trusted: Trusted) -> None:
    """Check what sweep.json asks for, before anything is written, imported or run.

    Raises:
        ConfigError: A value is outside its limits, a class may not be imported, or submitit may not be asked for this.
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


def _left(plan: SweepPlan) -> tuple[dict[int, Left], list[str]]:
    """What is left of each group that goes on, and what keeps others, or jobs of others, from going on.

    Raises:
        ConfigError, RecordError: No group goes on: one does not fit this machine, or its checkpoint cannot be read.
    """
    left, problems, first = dict[int, Left](), list[str](), None
    for number in plan.numbers():
        try:
            group = left_of(plan, number, plan.jobs(number))
            if group.parts:
                set_up(plan.groups[number].configs()[:1])
        except (ConfigError, RecordError) as error:
            first = first or error
            problems.append(f"group {number} is left out: {error}")
            continue
        if group.parts:
            left[number] = group  # it tells itself of the jobs that it leaves out
        else:
            problems += [f"{message}; its job is left out" for message in group.left_out.values()]
    if first is not None and not left:
        raise first
    return left, problems


def _with_budget(plan: SweepPlan, overrides: Sequence[str]) -> SweepPlan:
    """The plan with another budget for every job."""
    groups = [
        replace(group, config=to_dict(with_overrides(config_from(group.config, group.schema), overrides)))
        for group in plan.groups
    ]
    return replace(plan, groups=groups)
