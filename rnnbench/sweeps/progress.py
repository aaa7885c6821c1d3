"""The progress of groups that run in other processes, read from their aggregates; and how they ended."""

import signal
from collections.abc import Mapping, Sequence

from rnnbench.exit_status import OK, is_of_signal, of_signal
from rnnbench.records.aggregate import folder_name
from rnnbench.records.aggregate_board import SHARES
from rnnbench.records.metrics_csv import last_row
from rnnbench.records.wording import count
from rnnbench.sweeps.plan import SweepPlan
from rnnbench.sweeps.planning import aggregate_names


def progress_line(plan: SweepPlan, numbers: Sequence[int]) -> str:
    """One line with the progress of some groups.

    Args:
        plan: Plan of the sweep.
        numbers: Numbers of the groups.

    Returns:
        "group 0: update 1,200/50,000, 3 of 16 jobs solved; group 1: ...".
    """
    names = aggregate_names(plan)
    return "; ".join(f"group {number}: {_group_state(plan, number, names[number])}" for number in numbers)


def _group_state(plan: SweepPlan, number: int, cells: Mapping[str, Sequence[int]]) -> str:
    """The progress of one group."""
    update, solved, num_jobs = -1, 0.0, 0
    for name, rows in cells.items():
        update_and_share = last_row(plan.folder / "aggregate" / folder_name(name), ("update", SHARES[0]))
        if update_and_share is not None:
            update = max(update, int(update_and_share[0]))
            solved += update_and_share[1] * len(rows)
        num_jobs += len(rows)
    if update < 0:
        return "starting"
    budget = plan.groups[number].config["budget"]["updates"]
    return f"update {update:,}/{budget:,}, {round(solved)} of {count(num_jobs, 'job')} solved"


def outcome(number: int, status: int) -> str:
    """How a group ended, for a person.

    Args:
        number: The number of the group.
        status: The exit status of the group; -N: signal N killed its process.
    """
    if status < 0:
        return f"group {number} was killed by signal {-status}; `rnnbench resume` continues it"
    if is_of_signal(status):
        name = signal.Signals(status - of_signal(0)).name
        return f"group {number} was ended by {name}, with a checkpoint; `rnnbench resume` continues it"
    return f"group {number} ended" + ("" if status == OK else f" with exit status {status}")
