"""The aggregate of a group of jobs while some of them are trained together."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rnnbench.records.aggregate import Aggregate, folder_name, last_values
from rnnbench.records.board import PLAIN, Board
from rnnbench.records.errors import RecordError
from rnnbench.records.metrics_csv import FILE_NAME, Column
from rnnbench.records.run_files import present_lengths
from rnnbench.records.summary import Status, read_summary

Lengths = Mapping[str, int]


@dataclass(frozen=True)
class AggregatePlan:
    """What a group's aggregate is made of.

    Attributes:
        folder: The logdir.
        cells: Name of each cell -> places of its jobs in the group.
        jobs: Run folder of every job of the group.
        places: In the group, of each job that is trained now.
        lengths: Bytes of the files of each cell at the checkpoint that is gone on from; None: go on from their ends.
        restart: The jobs begin anew, so what an earlier process left of the aggregate is removed.
    """

    folder: Path
    cells: Mapping[str, Sequence[int]]
    jobs: Sequence[Path]
    places: Sequence[int]
    lengths: Sequence[Lengths] | None = None
    restart: bool = False


class LiveAggregate:
    """Keeps an aggregate up to date with a training; use it as a context manager.

    It is a view, so what goes wrong with it is said once, and the training goes on without it. Jobs of the group that
    are not trained now count with what they recorded.
    """

    def __init__(
        self, plan: AggregatePlan, columns: Sequence[str], notify: Callable[[str], None], board: Board = PLAIN
    ) -> None:
        """Begin it, or go on with it.

        Args:
            plan: What it is made of.
            columns: Metrics of the jobs.
            notify: Told of what goes wrong.
            board: What TensorBoard shows of a job.
        """
        self._board = board
        self._plan, self._notify = plan, notify
        self._statuses: list[Status] = ["running"] * len(plan.jobs)
        self._solved = [False] * len(plan.jobs)
        self._aggregate: Aggregate | None = None
        self._row: tuple[Mapping[str, Column], Sequence[int]] = ({}, [])
        self._attempt(lambda: self._begin(columns))

    def _begin(self, columns: Sequence[str]) -> None:
        plan = self._plan
        for place in set(range(len(plan.jobs))) - set(plan.places):
            self._statuses[place], self._solved[place] = _standing(plan.jobs[place])
        last = np.concatenate([_last_of(job, columns) for job in plan.jobs])
        folders = [plan.folder / folder_name(name) for name in plan.cells]
        lengths = plan.lengths
        is_there = all((folder / FILE_NAME).is_file() for folder in folders)
        if lengths is None and is_there and not plan.restart:
            lengths = [present_lengths(folder) for folder in folders]
        self._aggregate = Aggregate(
            plan.folder,
            plan.cells,
            columns,
            last=last,
            lengths=lengths,
            restart=lengths is None,
            board=self._board,
        )

    def row(self, values: Mapping[str, Column], replicas: Sequence[int]) -> None:
        """Take what has just been logged; it is recorded by the `settle` that follows.

        Args:
            values: Column -> one number per row.
            replicas: Indices of the jobs that the rows belong to, among the jobs that are trained now.
        """
        self._row = values, replicas

    def settle(self, update: int, statuses: Sequence[Status], solved: Sequence[bool]) -> None:
        """Record the row taken last, and how the jobs that are trained now stand after it.

        Args:
            update: Updates done.
            statuses: Status of each of these jobs.
            solved: Whether each of them is solved.
        """
        for place, status, is_solved in zip(self._plan.places, statuses, solved, strict=True):
            self._statuses[place], self._solved[place] = status, is_solved
        (values, replicas), self._row = self._row, ({}, [])
        places = [self._plan.places[replica] for replica in replicas]
        aggregate = self._aggregate
        if aggregate is not None:
            self._attempt(lambda: aggregate.log(update, values, places, statuses=self._statuses, solved=self._solved))

    def lengths(self) -> list[Lengths] | None:
        """Bytes of the files of each cell, once everything so far is on disk; None where there is no aggregate."""
        found: list[Lengths] = []
        aggregate = self._aggregate
        if aggregate is not None:
            self._attempt(lambda: self._ask(aggregate, found))
        return found or None

    def _ask(self, aggregate: Aggregate, found: list[Lengths]) -> None:
        aggregate.records.checkpoint(found.extend)
        aggregate.records.sync()

    def _attempt(self, work: Callable[[], object]) -> None:
        """Do it; what goes wrong ends the aggregate, not the training."""
        try:
            work()
        except (RecordError, ValueError) as error:
            given_up, self._aggregate = self._aggregate, None
            if given_up is not None:
                with contextlib.suppress(RecordError):
                    given_up.records.close()
            self._notify(f"the aggregate is left out from now on: {error}")

    def __enter__(self) -> Self:
        """The aggregate itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is pending."""
        if self._aggregate is not None:
            self._attempt(self._aggregate.records.close)


def _last_of(job: Path, columns: Sequence[str]) -> NDArray[np.float64]:
    """Last number of each column of a job, (1, columns); NaN where it has none, or they cannot be read."""
    try:
        return last_values([job], columns)
    except RecordError:
        return last_values([None], columns)


def _standing(job: Path) -> tuple[Status, bool]:
    """How a job ended that is not trained now, and whether it was solved; one whose folder is gone has failed."""
    try:
        summary = read_summary(job)
    except RecordError:
        return "failed", False
    return summary.status, summary.solved
