"""The aggregate of a group of jobs during training."""

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
    """The cells and jobs of a group's aggregate.

    Attributes:
        folder: Parent folder of the cells' folders.
        cells: Name of each cell -> indices of its jobs in the group.
        jobs: Run folder of every job of the group.
        places: Index in the group of each job in training.
        lengths: Lengths in bytes of the files of each cell at the checkpoint from which the group continues; None: the
            aggregate continues from the end of its files.
        restart: Whether the jobs start from the beginning; the aggregate of an earlier process is then removed.
    """

    folder: Path
    cells: Mapping[str, Sequence[int]]
    jobs: Sequence[Path]
    places: Sequence[int]
    lengths: Sequence[Lengths] | None = None
    restart: bool = False


class LiveAggregate:
    """Keeps the aggregate of a group up to date during training; use it as a context manager.

    The aggregate is only a view of other records. An error in it is therefore reported once, and training continues
    without the aggregate. Jobs of the group that are no longer in training contribute their recorded values.
    """

    def __init__(
        self, plan: AggregatePlan, columns: Sequence[str], notify: Callable[[str], None], board: Board = PLAIN
    ) -> None:
        """Start the aggregate, or continue that of an earlier process.

        Args:
            plan: Cells and jobs of the group.
            columns: Names of the jobs' metrics.
            notify: Called with the message of an error.
            board: Contents of a job's TensorBoard pages.
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
        """Store the rows that have just been logged; the next call of `settle` records them.

        Args:
            values: Column -> one number per row.
            replicas: Job of each row, as an index into the jobs in training.
        """
        self._row = values, replicas

    def settle(self, update: int, statuses: Sequence[Status], solved: Sequence[bool]) -> None:
        """Record the rows of the last call of `row` with the status of the jobs after the update.

        Args:
            update: Index of the update.
            statuses: Status of each job in training.
            solved: Whether each of these jobs is solved.
        """
        for place, status, is_solved in zip(self._plan.places, statuses, solved, strict=True):
            self._statuses[place], self._solved[place] = status, is_solved
        (values, replicas), self._row = self._row, ({}, [])
        places = [self._plan.places[replica] for replica in replicas]
        aggregate = self._aggregate
        if aggregate is not None:
            self._attempt(lambda: aggregate.log(update, values, places, statuses=self._statuses, solved=self._solved))

    def lengths(self) -> list[Lengths] | None:
        """Write everything to disk and return the file lengths of each cell in bytes; None: there is no aggregate."""
        found: list[Lengths] = []
        aggregate = self._aggregate
        if aggregate is not None:
            self._attempt(lambda: self._ask(aggregate, found))
        return found or None

    def _ask(self, aggregate: Aggregate, found: list[Lengths]) -> None:
        aggregate.records.checkpoint(found.extend)
        aggregate.records.sync()

    def _attempt(self, work: Callable[[], object]) -> None:
        """Call a function; an error in it ends the aggregate, but not the training."""
        try:
            work()
        except (RecordError, ValueError) as error:
            given_up, self._aggregate = self._aggregate, None
            if given_up is not None:
                with contextlib.suppress(RecordError):
                    given_up.records.close()
            self._notify(f"the aggregate is no longer recorded: {error}")

    def __enter__(self) -> Self:
        """The aggregate itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write all pending rows."""
        if self._aggregate is not None:
            self._attempt(self._aggregate.records.close)


def _last_of(job: Path, columns: Sequence[str]) -> NDArray[np.float64]:
    """Last value of each column of a job, (1, columns); NaN if there is none or it cannot be read."""
    try:
        return last_values([job], columns)
    except RecordError:
        return last_values([None], columns)


def _standing(job: Path) -> tuple[Status, bool]:
    """Status of a job that is not in training, and whether it was solved; "failed" if it has no readable summary."""
    try:
        summary = read_summary(job)
    except RecordError:
        return "failed", False
    return summary.status, summary.solved
