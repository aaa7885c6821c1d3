"""Metrics and TensorBoard events of the replicas of one batched run, written by one thread."""

import queue
import threading
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

# Rows that may wait for the writer; a row of 256 replicas and 25 columns takes 58 kB. A slower disk holds up training.
_QUEUE_SIZE = 256
# Checkpoints that may wait for the writer, each with its tensors.
_NUM_WAITING_CHECKPOINTS = 4
# Pending bytes of all files together at which they are written before their time.
_PENDING_LIMIT = 8 * 2**20


class Records:
    """Records R jobs of one batched run, each in its own folder: metrics.csv and a TensorBoard events file.

    The calls return at once; one thread turns what was given into bytes and appends them to the files every
    `flush_seconds`. A folder that cannot be written any more, since it was removed for example, is given up alone, and
    `broken` tells of it. Where none is left, or the disk is full or broken, `RecordError` is raised by the next call
    that records. The files end in their last whole row in any case.

    Attributes:
        board: What TensorBoard shows.
        tags: Tag of each column, and of each constant beside one.

    Use it as a context manager, or call `close`: what was logged in the last `flush_seconds` is lost otherwise.

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
        """Start new records, or continue those of an earlier process, where a broken folder is given up alone.

        Args:
            folders: One existing folder per replica, R of them.
            columns: Names of the metrics in the order of metrics.csv. The column `update` comes first by itself.
                Records that are continued keep the columns that they began with; values of others are left out.
            flush_seconds: Time between writes. Nothing that is older than this, plus the time of a write, is lost
                when the process is killed.
            lengths: What the checkpoint to continue from was given, or `present_lengths` for a run that goes on from
                its own end: each file is cut back to its length, and later events files are removed. None: new records.
            restart: New records in place of those that an earlier process left, which are removed.
            board: Tags and descriptions in TensorBoard. Records continued from an earlier version keep their tags.

        Raises:
            RecordError: A folder is missing, cannot be written or already holds records; when records are continued or
                restarted: none of the folders can be, since its files are shorter than `lengths` says, for example.
            ValueError: Names of columns are double or need quotes, `lengths` is not of R folders, or goes with
                `restart`.
        """
        self._folders = [Path(folder) for folder in folders]
        kept = None if lengths is None else metrics_csv.first_columns(self._folders)
        self._columns = tuple(columns) if kept is None else kept
        self._left_out = set(columns) - set(self._columns)
        self._flush_seconds = flush_seconds
        header = metrics_csv.header(self._columns)
        is_older = lengths is not None and has_columns_as_tags(self._folders, self._columns)
        self.board = board.with_columns_as_tags() if is_older else board
        self._files = open_files(self._folders, header, lengths=lengths, restart=restart)
        self.tags: Mapping[str, str] = self.board.tags(self._columns)
        self._scalars = ScalarEvents(self._columns, self.board, len(self._folders))
        self._checkpoints = threading.Semaphore(_NUM_WAITING_CHECKPOINTS)
        self._error: RecordError | None = None
        self._error_was_raised = False
        self._closed = False
        self._flush_due: float | None = None
        self._stopping = False
        self._queue: queue.Queue[Callable[[], None]] = queue.Queue(_QUEUE_SIZE)
        self._thread = threading.Thread(target=self._write_until_stopped, name="records", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------ what the caller's thread does

    def log(
        self,
        update: int,
        values: Mapping[str, metrics_csv.Column],
        replicas: Sequence[int] | None = None,
    ) -> None:
        """Log a row for each replica.

        Args:
            update: Index of the update.
            values: Column -> one number per row. A masked entry, None, or a column that is not given is an empty cell
                and no scalar; NaN and infinity are written as such.
            replicas: Indices of the n replicas that the rows belong to; None: all R in order.

        Raises:
            RecordError: An earlier write failed.
            ValueError: A column is unknown, or is not of shape (n,).
        """
        self._check()
        wall_time = time.time()
        if self._left_out:
            values = {name: column for name, column in values.items() if name not in self._left_out}
        rows = range(len(self._folders)) if replicas is None else [int(replica) for replica in replicas]
        table, present = metrics_csv.tabulate(self._columns, values, len(rows))
        self._queue.put(partial(self._add_rows, update, wall_time, rows, table, present))

    def picture(self, replica: int, tag: str, update: int, png: bytes) -> None:
        """Log a picture, as the bytes of a PNG file."""
        self._check()
        events.png_size(png)
        self._queue.put(partial(self._add_event, replica, partial(events.picture, tag, update, time.time(), png)))

    def histogram(self, replica: int, tag: str, update: int, values: ArrayLike) -> None:
        """Log the distribution of the finite ones of some numbers, of any shape."""
        self._check()
        numbers = np.array(values, dtype=np.float64).ravel()
        make = partial(events.histogram, tag, update, time.time(), numbers)
        self._queue.put(partial(self._add_event, replica, make))

    def text(self, replica: int, tag: str, text: str) -> None:
        """Log a text, in Markdown, for the TEXT page."""
        self._check()
        self._queue.put(partial(self._add_event, replica, partial(events.text, tag, time.time(), text)))

    def hyperparameters(self, replica: int, trial: str, values: Mapping[str, events.Scalar]) -> None:
        """Put the run into the table of the HPARAMS page, at its start.

        Args:
            replica: Index of the replica.
            trial: Name of its row, which is shared by runs that differ in the seed alone.
            values: Hyperparameters by name, the same for all runs of a trial.

        Raises:
            RecordError: An earlier write failed.
        """
        self._check()
        make = partial(events.hyperparameters, trial, time.time(), dict(values))
        self._queue.put(partial(self._add_event, replica, make))

    def custom_scalars(self) -> None:
        """Lay out the CUSTOM SCALARS page of every replica, at its start."""
        self._check()
        make = partial(events.custom_scalars, time.time(), self.board.page, self.board.charts, self.tags)
        self._queue.put(partial(self._add_to_all, make))

    def checkpoint(self, save: Callable[[Sequence[Mapping[str, int]]], None]) -> None:
        """Have something saved that belongs to the rows logged so far, once they are safe from a power cut.

        Returns at once, but waits while several earlier ones are not saved yet. After an error nothing is saved.

        Args:
            save: Called on the writer's thread with file name -> bytes for the metrics and events files of each
                replica, at this moment. What it raises is raised as `RecordError` by the next call.

        Raises:
            RecordError: An earlier write failed.
        """
        self._check()
        self._checkpoints.acquire()
        self._queue.put(partial(self._save, save))

    def sync(self) -> None:
        """Wait until everything logged so far is on disk, safe from a kill and from a power cut.

        Raises:
            RecordError: It could not be written.
        """
        self._check()
        done = threading.Event()
        self._queue.put(partial(self._flush, durable=True))
        self._queue.put(done.set)
        done.wait()
        self._check()

    def broken(self) -> dict[int, str]:
        """Replicas that have been given up and what happened, except for those that an earlier call has told.

        To be asked once more after `close`, which is where the last rows are written.
        """
        return self._files.take_broken()

    def fail(self, replica: int, message: str) -> None:
        """Give up a replica whose folder the caller could not write; rows that wait are still written where possible.

        May be called from any thread, also by what a checkpoint saves. `broken` tells of it.
        """
        self._files.fail(replica, message)

    def close(self) -> None:
        """Write what is pending and end the thread. After that every other method fails; a second call does nothing.

        Raises:
            RecordError: Something could not be written and no earlier call has said so.
        """
        if self._closed:
            return
        self._closed = True
        self._queue.put(self._stop)
        self._thread.join()
        if self._error is not None and not self._error_was_raised:
            self._error_was_raised = True
            raise self._error

    def __enter__(self) -> "Records":
        """The records themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; a failure to write becomes a note of another error that is on its way."""
        try:
            self.close()
        except RecordError as failure:
            if error is None:
                raise
            error.add_note(str(failure))

    def _check(self) -> None:
        """Raise the writer's error, if there is one."""
        if self._closed:
            raise RecordError("the records are closed")
        if self._error is None:
            self._error = self._files.error_of_all()
        if self._error is not None:
            self._error_was_raised = True
            # A new object each time: one that is raised again would grow its traceback.
            raise RecordError(str(self._error)) from self._error

    # ------------------------------------------------------------ what the writer's thread does

    def _write_until_stopped(self) -> None:
        """Do the queued work in its order, and flush when it is due."""
        while not self._stopping:
            wait = None if self._flush_due is None else max(0.0, self._flush_due - time.monotonic())
            try:
                work = self._queue.get(timeout=wait)
            except queue.Empty:
                work = self._flush
            self._attempt(work)
            if self._flush_due is None and self._files.pending_bytes > 0:
                self._flush_due = time.monotonic() + self._flush_seconds
            is_due = self._flush_due is not None and time.monotonic() >= self._flush_due
            if is_due or self._files.pending_bytes > _PENDING_LIMIT:
                self._attempt(self._flush)

    def _attempt(self, work: Callable[[], None]) -> None:
        """Do it, and keep its error for the caller's thread."""
        try:
            work()
        except RecordError as error:
            self._error = self._error or error
        except Exception as error:
            # Whatever it is, it would be lost with this thread, and the caller would wait for it for ever.
            self._error = self._error or RecordError(f"cannot write records: {error!r}")

    def _add_rows(
        self,
        update: int,
        wall_time: float,
        replicas: Sequence[int],
        table: NDArray[np.float64],
        present: NDArray[np.bool_],
    ) -> None:
        """Turn a table (columns, replicas) into a row and an event for each replica."""
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

    def _save(self, save: Callable[[Sequence[Mapping[str, int]]], None]) -> None:
        """Make everything durable, then save what belongs to it."""
        try:
            self._flush(durable=True)
            if self._error is None:
                save(self._files.lengths())
        finally:
            self._checkpoints.release()

    def _flush(self, *, durable: bool = False) -> None:
        self._flush_due = None
        self._files.flush(durable=durable)

    def _stop(self) -> None:
        """Write what is pending and let the thread end."""
        self._stopping = True
        self._flush()
