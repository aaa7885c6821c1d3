"""The progress of groups that run in other processes, read from their aggregates; and how they ended."""

import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rnnbench.exit_status import OK, is_of_signal, of_signal
from rnnbench.records.aggregate import folder_name
from rnnbench.records.aggregate_board import SHARES
from rnnbench.records.metrics_csv import last_row
from rnnbench.records.terminal import Progress, choose_mode
from rnnbench.sweeps.plan import SweepPlan, read_plan
from rnnbench.sweeps.planning import aggregate_names

SECONDS_BETWEEN_READINGS, SECONDS_BETWEEN_LINES = 2.0, 10.0


class GroupsProgress:
    """Shows how many jobs of some groups have ended. Use it as a context manager.

    Args:
        folder: Folder of the sweep.
        numbers: Numbers of the groups.
        quiet: Whether to show nothing.
    """

    def __init__(self, folder: Path, numbers: Sequence[int], *, quiet: bool) -> None:
        self._folder, self._numbers, self._ended = folder, numbers, set[int]()
        plan = read_plan(folder)
        names = aggregate_names(plan)
        self._first_updates = {number: _state(folder, names[number])[2] for number in numbers}
        self._num_jobs = sum(len(plan.groups[number].folders) for number in numbers)
        self._progress = Progress(
            choose_mode(quiet, sys.stderr),
            total=self._num_jobs,
            unit="jobs",
            num_replicas=self._num_jobs,
            seconds=SECONDS_BETWEEN_LINES,
        )
        self._due = time.monotonic()

    def __enter__(self) -> "GroupsProgress":
        """Start the clock and the bar."""
        self._progress.__enter__()
        self.refresh()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Show the last state, and remove the bar."""
        self._due = 0.0
        self.refresh()
        self._progress.__exit__(kind, error, trace)

    def started(self, number: int) -> None:
        """Report that a group has started."""
        self._progress.message(f"rnnbench: group {number} started")

    def ended(self, number: int, status: int, *, failed_fast: bool = False) -> None:
        """Report how a group has ended; see `outcome`."""
        if status >= 0 and not is_of_signal(status):
            self._ended.add(number)
        self._progress.message(f"rnnbench: {outcome(number, status, failed_fast=failed_fast)}")

    def refresh(self) -> None:
        """Read the progress of the groups, unless that was done a moment ago."""
        if time.monotonic() < self._due:
            return
        plan = read_plan(self._folder)  # again: a group may have been split
        names = aggregate_names(plan)
        ended = solved = share = 0.0
        for number in self._numbers:
            for part in _parts(plan, number):
                num_ended, own_solved, update = _state(plan.folder, names[part])
                folders = [plan.folder / each for each in plan.groups[part].folders]
                num_jobs = len(folders)
                if number in self._ended:
                    num_ended = num_jobs
                elif update <= self._first_updates.get(part, 0):
                    num_ended = 0.0  # the row of the end of the last call, whose jobs are resumed
                ended, solved = ended + num_ended, solved + own_solved
                used = share_used(folders, plan.groups[part].config["budget"], update)
                share += num_ended + (num_jobs - num_ended) * used
        self._progress.show(round(ended), num_solved=round(solved), shares=[share / self._num_jobs])
        self._due = time.monotonic() + SECONDS_BETWEEN_READINGS


def _parts(plan: SweepPlan, number: int) -> list[int]:
    """The groups that a group was split into, or itself."""
    halves = plan.groups[number].split_into
    return [part for half in halves for part in _parts(plan, half)] if halves else [number]


def _state(folder: Path, cells: Mapping[str, Sequence[int]]) -> tuple[float, float, float]:
    """Numbers of jobs of a group that have ended and that are solved, and its update."""
    ended = solved = update = 0.0
    for name, rows in cells.items():
        row = last_row(folder / "aggregate" / folder_name(name), ("update", *SHARES[:2]))
        if row is not None:
            update = max(update, row[0])
            solved, ended = solved + row[1] * len(rows), ended + (1 - row[2]) * len(rows)
    return ended, solved, update


def share_used(folders: Sequence[Path], budget: Mapping[str, Any], update: float) -> float:
    """Share of the budget that ends first which the running jobs of a group have used up.

    Args:
        folders: Run folders of all jobs of the group.
        budget: Configuration of their budget.
        update: Update of the group.
    """
    newest = [update, 0.0, 0.0]  # no row has been written yet
    for folder in folders:
        row = last_row(folder, ("update", "cost/sequences", "time/seconds"))
        if row is not None and (newest[1] == 0.0 or row[0] > newest[0]):
            newest = row
            if row[0] >= update:
                break  # a running job; the last rows of jobs that have ended are older
    minutes = budget["minutes"]
    limits = budget["updates"], budget["sequences"], None if minutes is None else 60 * minutes
    shares = [amount / float(limit) for amount, limit in zip(newest, limits, strict=True) if limit is not None]
    return min(max(shares), 1.0)


def outcome(number: int, status: int, *, failed_fast: bool = False) -> str:
    """How a group ended, for a person.

    Args:
        number: The number of the group.
        status: The exit status of the group; -N: signal N killed its process.
        failed_fast: Whether it was sent SIGTERM because another group had failed.
    """
    if status < 0:
        return f"group {number} was killed by signal {-status}; `rnnbench resume` continues it"
    if failed_fast and status == of_signal(signal.SIGTERM):
        reason = "because a job of another group failed (hydra.launcher.fail_fast)"
        return f"group {number} was ended {reason}, with a checkpoint; `rnnbench resume` continues it"
    if is_of_signal(status):
        name = signal.Signals(status - of_signal(0)).name
        return f"group {number} was ended by {name}, with a checkpoint; `rnnbench resume` continues it"
    return f"group {number} ended" + ("" if status == OK else f" with exit status {status}")
