"""The growing files of all replicas of one batched run: written together, failing one by one."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rnnbench.records.errors import MachineError, RecordError
from rnnbench.records.run_files import RunFiles, continued_files, new_files, restarted_files

# Threads that wait for the disk, which makes durable in one go what several of them wait for: 512 files in 50 ms, where
# one after another took 1.5 s.
_NUM_WAITING = 16


class GroupFiles:
    """Files of R run folders, of which one that cannot be written is given up alone.

    `fail`, `take_broken` and `error_of_all` may be called from any thread, the rest from one.

    Attributes:
        pending_bytes: Bytes of all files together that were added since the last `flush`.
    """

    def __init__(self, files: Mapping[int, RunFiles], lost: Mapping[int, Mapping[str, int]]) -> None:
        """Take the files over.

        Args:
            files: Replica -> its files.
            lost: For the other replicas, whose files could not be opened: name -> bytes of what they had held.
        """
        self.pending_bytes = 0
        self._num_replicas = len(files) + len(lost)
        self._files = dict(files)
        self._lost = {replica: dict(lengths) for replica, lengths in lost.items()}
        self._lock = threading.Lock()
        self._broken: dict[int, str] = {}
        self._untold: dict[int, str] = {}

    def add_line(self, replica: int, line: bytes) -> None:
        """Keep a line of metrics.csv for the next `flush`, if the replica has not been given up."""
        if replica in self._files:
            self._files[replica].metrics.add(line)
            self.pending_bytes += len(line)

    def add_event(self, replica: int, record: bytes) -> None:
        """Keep a record of the events file for the next `flush`, if the replica has not been given up."""
        if replica in self._files:
            self._files[replica].events.add(record)
            self.pending_bytes += len(record)

    def flush(self, *, durable: bool = False) -> None:
        """Write what is pending; a file that fails does not keep the others from being written.

        Args:
            durable: Also wait until the disk has it, so that it survives a power cut.

        Raises:
            MachineError: The disk is full, ...; the rest stays pending.
            RecordError: All replicas have been given up.
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
            given_up = [replica for replica in self._broken if replica in self._files]
        for replica in given_up:
            self._lost[replica] = self._files.pop(replica).lengths()
        if machine:
            raise MachineError(_sentence([str(error) for error in machine], "files")) from machine[0]
        error = self.error_of_all()
        if error is not None:
            raise error

    def _write(self, replicas: Sequence[int], durable: bool) -> list[list[RecordError]]:
        """Write the files of some replicas; returns what went wrong with those of each."""
        files = [self._files[replica] for replica in replicas]
        if not durable:
            return [each.flush() for each in files]
        with ThreadPoolExecutor(_NUM_WAITING, "records-disk") as pool:
            return list(pool.map(partial(RunFiles.flush, durable=True), files))

    def lengths(self) -> list[dict[str, int]]:
        """For each replica: file name -> bytes that hold whole records; where it was given up, those it had then."""
        return [
            self._files[replica].lengths() if replica in self._files else dict(self._lost[replica])
            for replica in range(self._num_replicas)
        ]

    def fail(self, replica: int, message: str) -> None:
        """Give up a replica; the next `flush` is the last one that tries to write its files."""
        with self._lock:
            if replica not in self._broken:
                self._broken[replica] = self._untold[replica] = message

    def take_broken(self) -> dict[int, str]:
        """Replicas that were given up since the last call, and what happened."""
        with self._lock:
            untold, self._untold = self._untold, {}
        return untold

    def error_of_all(self) -> RecordError | None:
        """What to raise when every replica has been given up."""
        with self._lock:
            if len(self._broken) < self._num_replicas:
                return None
            return RecordError(_sentence(list(self._broken.values()), "runs"))


def open_files(
    folders: Sequence[Path], header: bytes, *, lengths: Sequence[Mapping[str, int]] | None, restart: bool
) -> GroupFiles:
    """Make the files of new runs, or open those of earlier ones, where a broken folder is given up alone.

    Args:
        folders: One existing folder per replica, R of them.
        header: First line of metrics.csv.
        lengths: For each replica, what its files are cut back to; None: they are made.
        restart: Remove what an earlier process left and make them.

    Raises:
        RecordError: One of the files cannot be made, or none opened again.
        ValueError: `lengths` is not of R folders, or goes with `restart`.
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
    """The first of some messages, and how many there are beside it."""
    return messages[0] if len(messages) == 1 else f"{messages[0]} (and {len(messages) - 1} more {what})"
