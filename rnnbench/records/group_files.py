"""The growing files of all replicas of one batched run: written together, but failing separately."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rnnbench.records.errors import MachineError, RecordError
from rnnbench.records.run_files import RunFiles, continued_files, new_files, restarted_files

# Several threads sync files at once, so that the disk can combine the work: 512 files take 50 ms, one by one 1.5 s.
_NUM_WAITING = 16


class GroupFiles:
    """The files of R run folders; if one folder cannot be written, only its replica fails.

    `fail`, `take_broken` and `error_of_all` may be called from any thread, the other methods from one thread.

    Attributes:
        pending_bytes: Number of bytes added to all files since the last `flush`.
    """

    def __init__(self, files: Mapping[int, RunFiles], lost: Mapping[int, Mapping[str, int]]) -> None:
        """Store the files.

        Args:
            files: Replica -> its files.
            lost: Replica whose files could not be opened -> their lengths in bytes, by name.
        """
        self.pending_bytes = 0
        self._num_replicas = len(files) + len(lost)
        self._files = dict(files)
        self._lost = {replica: dict(lengths) for replica, lengths in lost.items()}
        self._lock = threading.Lock()
        self._broken: dict[int, str] = {}
        self._unreported: dict[int, str] = {}

    def add_line(self, replica: int, line: bytes) -> None:
        """Queue a line of metrics.csv for the next `flush`, unless the replica has failed."""
        if replica in self._files:
            self._files[replica].metrics.add(line)
            self.pending_bytes += len(line)

    def add_event(self, replica: int, record: bytes) -> None:
        """Queue a record of the events file for the next `flush`, unless the replica has failed."""
        if replica in self._files:
            self._files[replica].events.add(record)
            self.pending_bytes += len(record)

    def flush(self, *, durable: bool = False) -> None:
        """Write the pending records of all files, even if some of them fail.

        Args:
            durable: Whether to wait until the records are on disk, so that they survive a power cut.

        Raises:
            MachineError: The machine or its disk failed, for example a full disk; unwritten records stay pending.
            RecordError: All replicas have failed.
        """
        self.pending_bytes = 0
        replicas = [replica for replica, files in self._files.items() if files.needs_flush(durable=durable)]
        machine = []
        for replica, errors in zip(replicas, self._write(replicas, durable), strict=True):
            machine += [error for error in errors if isinstance(error, MachineError)]
            own = [error for error in errors if not isinstance(error, MachineError)]
            if own:
                self.fail(replica, str(own[0]))
        with self._lock:
            failed = [replica for replica in self._broken if replica in self._files]
        for replica in failed:
            self._lost[replica] = self._files.pop(replica).lengths()
        if machine:
            raise MachineError(_sentence([str(error) for error in machine], "files")) from machine[0]
        error = self.error_of_all()
        if error is not None:
            raise error

    def _write(self, replicas: Sequence[int], durable: bool) -> list[list[RecordError]]:
        """Write the files of some replicas; returns the errors of each."""
        files = [self._files[replica] for replica in replicas]
        if not durable:
            return [each.flush() for each in files]
        with ThreadPoolExecutor(_NUM_WAITING, "records-disk") as pool:
            return list(pool.map(partial(RunFiles.flush, durable=True), files))

    def lengths(self) -> list[dict[str, int]]:
        """Return the lengths of each replica's complete records, in bytes, by file name.

        The lengths of a failed replica are those at its failure.
        """
        return [
            self._files[replica].lengths() if replica in self._files else dict(self._lost[replica])
            for replica in range(self._num_replicas)
        ]

    def fail(self, replica: int, message: str) -> None:
        """Mark a replica as failed; the next `flush` is the last one that tries to write its files."""
        with self._lock:
            if replica not in self._broken:
                self._broken[replica] = self._unreported[replica] = message

    def take_broken(self) -> dict[int, str]:
        """Return the replicas that have failed since the last call, with their errors."""
        with self._lock:
            unreported, self._unreported = self._unreported, {}
        return unreported

    def error_of_all(self) -> RecordError | None:
        """Return the error to raise if every replica has failed; None: at least one has not."""
        with self._lock:
            if len(self._broken) < self._num_replicas:
                return None
            return RecordError(_sentence(list(self._broken.values()), "runs"))


def open_files(
    folders: Sequence[Path], header: bytes, *, lengths: Sequence[Mapping[str, int]] | None, restart: bool
) -> GroupFiles:
    """Create the files of new runs, or open those of earlier runs; a broken folder fails only its own replica.

    Args:
        folders: One existing folder per replica, R of them.
        header: First line of metrics.csv.
        lengths: For each replica, the lengths to which its files are truncated; None: the files are created.
        restart: Whether files of an earlier process are removed first.

    Raises:
        RecordError: A new file cannot be created, or the files of no replica can be opened.
        ValueError: `lengths` has not R entries, or is combined with `restart`.
    """
    if lengths is not None and len(lengths) != len(folders):
        raise ValueError(f"lengths must be one per folder, got {len(lengths)} for {len(folders)} folders")
    if lengths is not None and restart:
        raise ValueError("records are either restarted or continued from lengths")
    files, lost, broken = {}, {}, {}
    for replica, folder in enumerate(folders):
        try:
            if lengths is not None:
                files[replica] = continued_files(folder, header, lengths[replica])
            else:
                files[replica] = restarted_files(folder, header) if restart else new_files(folder, header)
        except RecordError as error:
            is_new = lengths is None and not restart
            if is_new or isinstance(error, MachineError):
                raise
            lost[replica] = {} if lengths is None else lengths[replica]
            broken[replica] = str(error)
    group = GroupFiles(files, lost)
    for replica, message in broken.items():
        group.fail(replica, message)
    error_of_all = group.error_of_all()
    if error_of_all is not None:
        raise error_of_all
    return group


def _sentence(messages: Sequence[str], what: str) -> str:
    """Return the first message and the number of further ones."""
    return messages[0] if len(messages) == 1 else f"{messages[0]} (and {len(messages) - 1} more {what})"
