"""A file that only grows, by whole records, and is open only while it is written.

A batched run writes two files for each of its replicas. Kept open they would exhaust the limit on open files, so each
keeps what is pending in memory and is opened for the moment of writing.
"""

import errno
import os
from pathlib import Path

from rnnbench.records.errors import MachineError, RecordError
from rnnbench.records.plain_file import open_to_write

# What the operating system says of a machine or a disk, not of one file.
_MACHINE_WIDE = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EROFS,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
}


class GrowingFile:
    """Appends whole records to one file and never leaves a part of a record behind, as far as the disk allows.

    Attributes:
        path: The file.
        length: Bytes of the file that hold whole records.
        pending_bytes: Bytes that wait for `flush`.
    """

    def __init__(self, path: Path, length: int) -> None:
        """Go on with an existing file of at least `length` bytes; `create_file` and `cut_file` make one."""
        self.path = path
        self.length = length
        self.pending_bytes = 0
        self._pending: list[bytes] = []
        self._is_durable = False

    def add(self, record: bytes) -> None:
        """Keep one record for the next `flush`."""
        self._pending.append(record)
        self.pending_bytes += len(record)

    def needs_flush(self, *, durable: bool = False) -> bool:
        """Whether `flush` has something to do."""
        return bool(self._pending) or (durable and not self._is_durable)

    def flush(self, *, durable: bool = False) -> None:
        """Write what is pending.

        After a failure the file ends in the last whole record that could be written, and the rest stays pending.

        Args:
            durable: Also wait until the disk has it, so that it survives a power cut.

        Raises:
            MachineError: The disk is full, ...
            RecordError: The file or its folder was removed, ...
        """
        if not self.needs_flush(durable=durable):
            return
        try:
            # Not in append mode: that would make a new file, without its header, where somebody removed the old one.
            with open_to_write(self.path) as handle:
                self._write(handle.fileno())
                if durable:
                    os.fsync(handle.fileno())
        except OSError as error:
            raise failure(f"cannot write {self.path}", error) from error
        self._is_durable = durable

    def _write(self, descriptor: int) -> None:
        """Write the pending records after the last whole one, or undo what was written of a broken one."""
        size = os.lseek(descriptor, 0, os.SEEK_END)
        if size < self.length:
            raise RecordError(f"cannot write {self.path}: it was cut to {size} bytes by another program")
        if size > self.length:  # the rest of a record that an earlier failure could not remove
            os.ftruncate(descriptor, self.length)
        os.lseek(descriptor, self.length, os.SEEK_SET)
        data = memoryview(b"".join(self._pending))
        written = 0
        try:
            while written < len(data):
                written += os.write(descriptor, data[written:])
        finally:
            self._keep_whole_records(written)
            if written < len(data):
                os.ftruncate(descriptor, self.length)

    def _keep_whole_records(self, written: int) -> None:
        """Count the records that lie within the first `written` pending bytes as done."""
        done = 0
        for record in self._pending:
            if len(record) > written:
                break
            written -= len(record)
            self.length += len(record)
            self.pending_bytes -= len(record)
            done += 1
        del self._pending[:done]


def create_file(path: Path, first_record: bytes) -> GrowingFile:
    """Make a file that does not exist yet.

    Raises:
        RecordError: It exists, or cannot be made.
    """
    try:
        with open(path, "xb", buffering=0):
            pass
    except FileExistsError as error:
        raise RecordError(f"{path} exists: the folder already holds a run") from error
    except OSError as error:
        raise failure(f"cannot make {path}", error) from error
    file = GrowingFile(path, 0)
    file.add(first_record)
    file.flush()
    return file


def cut_file(path: Path, length: int) -> GrowingFile:
    """Cut an existing file back to an earlier length.

    Raises:
        RecordError: It is shorter than that, or cannot be cut.
    """
    try:
        with open_to_write(path) as handle:
            size = os.fstat(handle.fileno()).st_size
            if size < length:
                raise RecordError(f"cannot continue {path}: it has {size} bytes and had {length} at the checkpoint")
            os.ftruncate(handle.fileno(), length)
    except OSError as error:
        raise failure(f"cannot continue {path}", error) from error
    return GrowingFile(path, length)


def failure(what: str, error: OSError) -> RecordError:
    """The error to raise where the operating system refused something.

    Args:
        what: What could not be done: "cannot write FILE".
        error: What the operating system said.
    """
    kind = MachineError if error.errno in _MACHINE_WIDE else RecordError
    return kind(f"{what}: {reason(error)}")


def reason(error: OSError) -> str:
    """What the operating system says, in lower case: "no space left on device"."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
