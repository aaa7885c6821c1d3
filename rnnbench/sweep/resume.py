"""Going on with a sweep, from what is on disk."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rnnbench.config.objects import to_dict
from rnnbench.config.stored import config_from, with_overrides
from rnnbench.exit_status import OK
from rnnbench.records.lock import locked_folder
from rnnbench.records.messages import say
from rnnbench.records.wording import count
from rnnbench.sweep.backends import run_groups
from rnnbench.sweep.closing import print_sweep_summary
from rnnbench.sweep.group_run import parts
from rnnbench.sweep.plan import SweepPlan, read_plan


def resume_sweep(folder: Path, overrides: Sequence[str], *, quiet: bool) -> int:
    """Go on with every job of a sweep that is not finished, as its sweep.json says.

    Args:
        folder: The sweep's folder.
        overrides: A larger budget, as KEY=VALUE; it is kept in sweep.json.
        quiet: No progress on the terminal.

    Returns:
        The exit status: 0 ended as planned, 1 a job failed, 128 + N ended by signal N.

    Raises:
        ConfigError: sweep.json or a checkpoint cannot be read, or an override is wrong.
        RecordError: Another process works on the sweep.
    """

    def tell(line: str) -> None:
        if not quiet:
            say(line)

    with locked_folder(folder):
        plan = read_plan(folder)
        if overrides:
            plan = _with_budget(plan, overrides)
            plan.write()
        left = {number: _num_left(plan, number) for number in plan.numbers()}
        numbers = [number for number, jobs in left.items() if jobs > 0]
        num_jobs = sum(len(plan.groups[number].folders) for number in plan.numbers())
        if not numbers:
            tell(f"{folder} is finished: all of its {count(num_jobs, 'job')}")
            return OK
        tell(f"{sum(left.values())} of {count(num_jobs, 'job')} go on, in {count(len(numbers), 'group')} -> {folder}")
        status = run_groups(folder, numbers, plan.settings, quiet=quiet, say=tell)
        print_sweep_summary(read_plan(folder), sys.stdout)
    return status


def _num_left(plan: SweepPlan, number: int) -> int:
    """How many jobs of a group have something left to do."""
    return sum(len(part.rows) for part in parts(plan, number, plan.jobs(number)))


def _with_budget(plan: SweepPlan, overrides: Sequence[str]) -> SweepPlan:
    """The plan with another budget for every job."""
    groups = [
        replace(group, config=to_dict(with_overrides(config_from(group.config, group.schema), overrides)))
        for group in plan.groups
    ]
    return replace(plan, groups=groups)
