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
from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import GrowingFile
from rnnbench.records.run_files import continued_files, new_files

# Rows that may wait for the writer; a row of 256 replicas and 25 columns takes 58 kB. A slower disk holds up training.
_QUEUE_SIZE = 256
# Pending bytes of all files together at which they are written before their time.
_PENDING_LIMIT = 8 * 2**20


class Records:
    """Records R jobs of one batched run, each in its own folder: metrics.csv and a TensorBoard events file.

    The calls return at once; one thread turns what was given into bytes and appends them to the files every
    `flush_seconds`. A failure of that thread is raised as `RecordError` by the next call of any method. The files then
    end in their last whole row.

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
    ) -> None:
        """Start new records, or continue those of an earlier process.

        Args:
            folders: One existing folder per replica, R of them.
            columns: Names of the metrics in the order of metrics.csv, each also the tag of a scalar in TensorBoard.
                The column `update` comes first by itself.
            flush_seconds: Time between writes. Nothing that is older than this, plus the time of a write, is lost
                when the process is killed.
            lengths: What `lengths()` gave at the checkpoint to continue from: each file is cut back to its length, and
                later events files are removed. None: new records.

        Raises:
            RecordError: A folder is missing, cannot be written, or already holds records (without `lengths`); its
                files are shorter than `lengths` says, or have other columns.
            ValueError: Names of columns are double or need quotes, or `lengths` is not of R folders.
        """
        header = metrics_csv.header(columns)
        if lengths is not None and len(lengths) != len(folders):
            raise ValueError(f"lengths must be one per folder, got {len(lengths)} for {len(folders)} folders")
        self._folders = [Path(folder) for folder in folders]
        self._columns = tuple(columns)
        self._flush_seconds = flush_seconds
        self._files = [
            new_files(folder, header) if lengths is None else continued_files(folder, header, lengths[replica])
            for replica, folder in enumerate(self._folders)
        ]
        self._config_keys: tuple[str, ...] | None = None
        self._error: RecordError | None = None
        self._error_was_raised = False
        self._closed = False
        self._pending_bytes = 0
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
            replicas: Whose rows these are, n indices; None: all R in order.

        Raises:
            RecordError: An earlier write failed.
            ValueError: A column is unknown, or is not of shape (n,).
        """
        self._check()
        wall_time = time.time()
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

    def hyperparameters(self, replica: int, config: Mapping[str, events.Scalar], metrics: Sequence[str]) -> None:
        """Put the run into the table of the HPARAMS page, at its start.

        Args:
            replica: Whose.
            config: Name -> value; the same names for all replicas and, for one table, all runs of a logdir.
            metrics: Columns whose last values stand beside them.

        Raises:
            RecordError: An earlier write failed.
            ValueError: The names differ from those of another replica, or a metric is no column.
        """
        self._check()
        unknown = [name for name in metrics if name not in self._columns]
        if unknown:
            raise ValueError(f"unknown column {unknown[0]!r}; the columns are {', '.join(self._columns)}")
        keys = tuple(config)
        if self._config_keys is not None and set(keys) != set(self._config_keys):
            raise ValueError(f"replica {replica} has other hyperparameters: {set(keys) ^ set(self._config_keys)}")
        self._config_keys = keys
        run = str(self._folders[replica].resolve())
        make = partial(events.hyperparameters, run, time.time(), dict(config), tuple(metrics))
        self._queue.put(partial(self._add_event, replica, make))

    def sync(self) -> None:
        """Wait until everything logged so far is on disk, safe from a kill and from a power cut.

        Raises:
            RecordError: It could not be written.
        """
        self._check()
        done = threading.Event()

        def flush() -> None:
            self._attempt(partial(self._flush, durable=True))
            done.set()

        self._queue.put(flush)
        done.wait()
        self._check()

    def lengths(self) -> list[dict[str, int]]:
        """Bytes of each replica's metrics and events files, after a `sync`: what a checkpoint keeps.

        Returns:
            For each replica: file name -> bytes.

        Raises:
            RecordError: It could not be written.
        """
        self.sync()
        return [files.lengths() for files in self._files]

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
            is_due = self._flush_due is not None and time.monotonic() >= self._flush_due
            if is_due or self._pending_bytes > _PENDING_LIMIT:
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
        for replica, values, there in zip(replicas, table.T.tolist(), present.T.tolist(), strict=True):
            self._add(self._files[replica].metrics, metrics_csv.row(update, values, there))
            self._add(self._files[replica].events, events.scalars(self._columns, update, wall_time, values, there))

    def _add_event(self, replica: int, make: Callable[[], bytes]) -> None:
        """Add one event to a replica's events file."""
        self._add(self._files[replica].events, make())

    def _add(self, file: GrowingFile, record: bytes) -> None:
        """Leave a record pending, and see that it is flushed in time."""
        file.add(record)
        self._pending_bytes += len(record)
        if self._flush_due is None:
            self._flush_due = time.monotonic() + self._flush_seconds

    def _flush(self, *, durable: bool = False) -> None:
        """Write every file; one that fails does not keep the others from being written."""
        self._flush_due = None
        self._pending_bytes = 0
        errors = []
        for file in [file for files in self._files for file in (files.metrics, files.events)]:
            try:
                file.flush(durable=durable)
            except RecordError as error:
                errors.append(error)
        if len(errors) > 1:
            raise RecordError(f"{errors[0]} (and {len(errors) - 1} more files)") from errors[0]
        if errors:
            raise errors[0]

    def _stop(self) -> None:
        """Write what is pending and let the thread end."""
        self._stopping = True
        self._flush()
