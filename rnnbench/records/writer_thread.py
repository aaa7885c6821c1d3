"""The thread that writes the files of a batched run."""

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from rnnbench.records.errors import RecordError
from rnnbench.records.group_files import GroupFiles

# Work items that may be queued; a row of 256 replicas and 25 columns takes 58 kB. With a slower disk, training waits.
_QUEUE_SIZE = 256
# Checkpoints that may be queued, each with its tensors.
_NUM_WAITING_CHECKPOINTS = 4
# Number of pending bytes of all files at which they are written before the flush is due.
_PENDING_LIMIT = 8 * 2**20

Save = Callable[[Sequence[Mapping[str, int]]], None]
"""A function that saves a checkpoint: file name -> length in bytes, for the files of each replica."""


class WriterThread:
    """Does work on some files in the order in which it is queued, and writes their pending bytes from time to time.

    An error stays until the caller's next call of `check`. Only the caller's thread calls the methods.
    """

    def __init__(self, files: GroupFiles, flush_seconds: float) -> None:
        """Start the thread.

        Args:
            files: Files of the batched run, which only this thread writes.
            flush_seconds: Time between writes.
        """
        self._files = files
        self._flush_seconds = flush_seconds
        self._checkpoints = threading.Semaphore(_NUM_WAITING_CHECKPOINTS)
        self._error: RecordError | None = None
        self._error_was_raised = False
        self._closed = False
        self._flush_due: float | None = None
        self._stopping = False
        self._queue: queue.Queue[Callable[[], None]] = queue.Queue(_QUEUE_SIZE)
        self._thread = threading.Thread(target=self._run, name="records", daemon=True)
        self._thread.start()

    # ------------------------------------------------------------ called by the caller's thread

    def put(self, work: Callable[[], None]) -> None:
        """Queue work; waits while the queue is full."""
        self._queue.put(work)

    def save(self, save: Save) -> None:
        """Queue the saving of a checkpoint; waits while several earlier ones are queued."""
        self._checkpoints.acquire()
        self.put(partial(self._save, save))

    def sync(self) -> None:
        """Wait until all queued work is done and its bytes are on disk."""
        done = threading.Event()
        self.put(partial(self._flush, durable=True))
        self.put(done.set)
        done.wait()

    def check(self) -> None:
        """Check that everything could be written so far.

        Raises:
            RecordError: The files are closed, or an earlier write failed.
        """
        if self._closed:
            raise RecordError("the records are closed")
        if self._error is None:
            self._error = self._files.error_of_all()
        if self._error is not None:
            self._error_was_raised = True
            # A new object each time: the traceback of an error that is raised repeatedly would grow.
            raise RecordError(str(self._error)) from self._error

    def close(self) -> None:
        """Write all pending bytes and end the thread; a second call does nothing.

        Raises:
            RecordError: Something could not be written, and no earlier call has raised the error.
        """
        if self._closed:
            return
        self._closed = True
        self.put(self._stop)
        self._thread.join()
        if self._error is not None and not self._error_was_raised:
            self._error_was_raised = True
            raise self._error

    # ------------------------------------------------------------ run by the thread

    def _run(self) -> None:
        """Do the queued work in order, and flush when it is due."""
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
        """Do some work, and keep its error for the caller's thread."""
        try:
            work()
        except RecordError as error:
            self._error = self._error or error
        except Exception as error:
            # Any other error would end the thread unnoticed, and the caller would wait for it forever.
            self._error = self._error or RecordError(f"cannot write records: {error!r}")

    def _save(self, save: Save) -> None:
        """Write all bytes to disk, then save the checkpoint that counts them."""
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
        """Write all pending bytes and let the thread end."""
        self._stopping = True
        self._flush()
