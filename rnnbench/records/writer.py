"""Metrics and TensorBoard events of the replicas of one batched run."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnnbench.records import events, metrics_csv
from rnnbench.records.board import PLAIN, Board
from rnnbench.records.errors import RecordError
from rnnbench.records.group_files import open_files
from rnnbench.records.run_files import has_columns_as_tags
from rnnbench.records.scalar_events import ScalarEvents
from rnnbench.records.writer_thread import Save, WriterThread


class Records:
    """Records R jobs of one batched run, each in its own folder: metrics.csv and a TensorBoard events file.

    The calls return at once. A thread converts the values to bytes and appends them to the files every `flush_seconds`.
    If a folder can no longer be written, for example because it was removed, only its own replica fails, and `broken`
    reports it. If all replicas have failed, or the disk is full or broken, the next call that records raises a
    `RecordError`. The files always end with a complete row.

    Use it as a context manager, or call `close`; otherwise the rows of the last `flush_seconds` are lost.

    Attributes:
        board: Contents of the TensorBoard pages.
        tags: Tag of each column, and of each constant that is shown together with a column.

    Example:
        with Records([folder], ["loss/train", "time/seconds"]) as records:
            records.log(0, {"loss/train": [0.5]})
    """

    def __init__(
        self,
        folders: Sequence[Path],
        columns: Sequence[str],
        *,
        flush_seconds: float = 2.0,
        lengths: Sequence[Mapping[str, int]] | None = None,
        restart: bool = False,
        board: Board = PLAIN,
    ) -> None:
        """Start new records, or continue those of an earlier process; then a broken folder fails only its own replica.

        Args:
            folders: One existing folder per replica, R of them.
            columns: Names of the metrics in the order of metrics.csv, without the column `update`, which comes first.
                Continued records keep their first columns; values of other columns are ignored.
            flush_seconds: Time between writes. If the process is killed, rows that are older than this plus the time
                of a write are not lost.
            lengths: File lengths from the checkpoint, or those of `present_lengths` for a run that continues from the
                end of its files. Each file is truncated to its length, and later events files are removed. None: new
                records.
            restart: Whether to remove records of an earlier process and start new ones.
            board: Tags and descriptions in TensorBoard. Continued records of an earlier version keep their tags.

        Raises:
            RecordError: A folder is missing, cannot be written or already contains records; if records are continued
                or restarted: no folder can be used, for example because the files are shorter than `lengths`.
            ValueError: Names of columns are repeated or need quotes, or `lengths` does not have R entries or is
                combined with `restart`.
        """
        self._folders = [Path(folder) for folder in folders]
        kept = None if lengths is None else metrics_csv.first_columns(self._folders)
        self._columns = tuple(columns) if kept is None else kept
        self._left_out = set(columns) - set(self._columns)
        header = metrics_csv.header(self._columns)
        is_older = lengths is not None and has_columns_as_tags(self._folders, self._columns)
        self.board = board.with_columns_as_tags() if is_older else board
        self._files = open_files(self._folders, header, lengths=lengths, restart=restart)
        self.tags: Mapping[str, str] = self.board.tags(self._columns)
        self._scalars = ScalarEvents(self._columns, self.board, len(self._folders))
        self._thread = WriterThread(self._files, flush_seconds)

    def log(
        self,
        update: int,
        values: Mapping[str, metrics_csv.Column],
        replicas: Sequence[int] | None = None,
    ) -> None:
        """Log a row for each replica.

        Args:
            update: Index of the update.
            values: Column -> one number per row. A masked entry, None, or a missing column gives an empty cell and no
                scalar; NaN and infinity are written as such.
            replicas: Indices of the n replicas that the rows belong to; None: all R in order.

        Raises:
            RecordError: An earlier write failed.
            ValueError: A column is unknown, or is not of shape (n,).
        """
        self._thread.check()
        wall_time = time.time()
        if self._left_out:
            values = {name: column for name, column in values.items() if name not in self._left_out}
        rows = range(len(self._folders)) if replicas is None else [int(replica) for replica in replicas]
        table, present = metrics_csv.tabulate(self._columns, values, len(rows))
        self._thread.put(partial(self._add_rows, update, wall_time, rows, table, present))

    def picture(self, replica: int, tag: str, update: int, png: bytes) -> None:
        """Log a picture, given as the bytes of a PNG file; raises as `log` does."""
        self._thread.check()
        events.png_size(png)
        self._thread.put(partial(self._add_event, replica, partial(events.picture, tag, update, time.time(), png)))

    def histogram(self, replica: int, tag: str, update: int, values: ArrayLike) -> None:
        """Log the distribution of the finite ones of some numbers, of any shape; raises as `log` does."""
        self._thread.check()
        numbers = np.array(values, dtype=np.float64).ravel()
        make = partial(events.histogram, tag, update, time.time(), numbers)
        self._thread.put(partial(self._add_event, replica, make))

    def text(self, replica: int, tag: str, text: str) -> None:
        """Log a text, in Markdown, for the TEXT page; raises as `log` does."""
        self._thread.check()
        self._thread.put(partial(self._add_event, replica, partial(events.text, tag, time.time(), text)))

    def hyperparameters(self, replica: int, trial: str, values: Mapping[str, events.Scalar]) -> None:
        """Add the run to the table of the HPARAMS page, at its start.

        Args:
            replica: Index of the replica.
            trial: Name of the table's row; runs that differ only in the seed share a row.
            values: Hyperparameters by name, the same for all runs of a trial.

        Raises:
            RecordError: An earlier write failed.
        """
        self._thread.check()
        make = partial(events.hyperparameters, trial, time.time(), dict(values))
        self._thread.put(partial(self._add_event, replica, make))

    def custom_scalars(self) -> None:
        """Write the layout of the CUSTOM SCALARS page of every replica, at its start; raises as `log` does."""
        self._thread.check()
        make = partial(events.custom_scalars, time.time(), self.board.page, self.board.charts, self.tags)
        self._thread.put(partial(self._add_to_all, make))

    def checkpoint(self, save: Save) -> None:
        """Save a checkpoint that counts the rows logged so far, as soon as these are safe from a power cut.

        Returns at once, unless several earlier checkpoints are still to be saved. After an error nothing is saved.

        Args:
            save: Called on the writer's thread with the lengths of each replica's metrics and events files at this
                moment. An error in it is raised as a `RecordError` by the next call.

        Raises:
            RecordError: An earlier write failed.
        """
        self._thread.check()
        self._thread.save(save)

    def sync(self) -> None:
        """Wait until everything logged so far is on disk, safe from a kill and from a power cut.

        Raises:
            RecordError: It could not be written.
        """
        self._thread.check()
        self._thread.sync()
        self._thread.check()

    def broken(self) -> dict[int, str]:
        """Return the replicas that have failed since the last call, with their errors.

        Call it once more after `close`, which writes the last rows.
        """
        return self._files.take_broken()

    def fail(self, replica: int, message: str) -> None:
        """Mark a replica as failed if the caller could not write its folder; pending rows are written if possible.

        May be called from any thread, also while a checkpoint is saved. `broken` reports the replica.
        """
        self._files.fail(replica, message)

    def close(self) -> None:
        """Write all pending rows and end the thread. Afterwards no row can be logged; a second call does nothing.

        Raises:
            RecordError: Something could not be written, and no earlier call has raised the error.
        """
        self._thread.close()

    def __enter__(self) -> "Records":
        """The records themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the records; if another error is being raised, a failure to write becomes a note of it."""
        try:
            self.close()
        except RecordError as failure:
            if error is None:
                raise
            error.add_note(str(failure))

    # ------------------------------------------------------------ run by the writer's thread

    def _add_rows(
        self,
        update: int,
        wall_time: float,
        replicas: Sequence[int],
        table: NDArray[np.float64],
        present: NDArray[np.bool_],
    ) -> None:
        """Convert a table (columns, replicas) to a row and an event for each replica."""
        lines = metrics_csv.rows(update, table, present)
        records = self._scalars.events(update, wall_time, replicas, table, present)
        for replica, line, record in zip(replicas, lines, records, strict=True):
            self._files.add_line(replica, line)
            self._files.add_event(replica, record)

    def _add_event(self, replica: int, make: Callable[[], bytes]) -> None:
        self._files.add_event(replica, make())

    def _add_to_all(self, make: Callable[[], bytes]) -> None:
        record = make()
        for replica in range(len(self._folders)):
            self._files.add_event(replica, record)
