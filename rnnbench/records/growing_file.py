"""A file that only grows, by complete records, and is open only while it is written.

A batched run writes two files per replica. If all stayed open, they would exceed the limit on open files. Each file
therefore keeps pending records in memory and is opened only to write them.
"""

import errno
import os
from pathlib import Path

from rnnbench.records.errors import MachineError, RecordError
from rnnbench.records.plain_file import open_to_write

# Errors of the whole machine or disk, not of one file.
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
    """Appends complete records to a file; a partly written record is removed again, if the disk allows it.

    Attributes:
        path: Path of the file.
        length: Length of the complete records in the file, in bytes.
        pending_bytes: Number of bytes that `flush` will write.
    """

    def __init__(self, path: Path, length: int) -> None:
        """Append to an existing file after its first `length` bytes; see `create_file` and `truncate_file`."""
        self.path = path
        self.length = length
        self.pending_bytes = 0
        self._pending: list[bytes] = []
        self._is_durable = False

    def add(self, record: bytes) -> None:
        """Queue one record for the next `flush`."""
        self._pending.append(record)
        self.pending_bytes += len(record)

    def needs_flush(self, *, durable: bool = False) -> bool:
        """Whether `flush` has something to do."""
        return bool(self._pending) or (durable and not self._is_durable)

    def flush(self, *, durable: bool = False) -> None:
        """Write the pending records.

        After a failure the file ends with the last record that was written completely; the others stay pending.

        Args:
            durable: Whether to wait until the records are on disk, so that they survive a power cut.

        Raises:
            MachineError: The machine or its disk failed, for example a full disk.
            RecordError: The file itself failed, for example because it was removed.
        """
        if not self.needs_flush(durable=durable):
            return
        try:
            # Not in append mode: it would create a new file without a header if the old one was removed.
            with open_to_write(self.path) as handle:
                self._write(handle.fileno())
                if durable:
                    os.fsync(handle.fileno())
        except OSError as error:
            raise failure(f"cannot write {self.path}", error) from error
        self._is_durable = durable

    def _write(self, descriptor: int) -> None:
        """Write the pending records after the last complete one; truncate a record that is only partly written."""
        size = os.lseek(descriptor, 0, os.SEEK_END)
        if size < self.length:
            raise RecordError(f"cannot write {self.path}: another program has truncated it to {size} bytes")
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
        """Remove the records within the first `written` bytes from the pending ones."""
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
    """Create a file that does not exist yet.

    Raises:
        RecordError: The file exists, or cannot be created.
    """
    try:
        with open(path, "xb", buffering=0):
            pass
    except FileExistsError as error:
        raise RecordError(f"{path} exists: the folder already holds a run") from error
    except OSError as error:
        raise failure(f"cannot create {path}", error) from error
    file = GrowingFile(path, 0)
    file.add(first_record)
    file.flush()
    return file


def truncate_file(path: Path, length: int) -> GrowingFile:
    """Truncate an existing file to an earlier length.

    Raises:
        RecordError: The file is shorter, or cannot be truncated.
    """
    try:
        with open_to_write(path) as handle:
            size = os.fstat(handle.fileno()).st_size
            if size < length:
                raise RecordError(f"cannot continue {path}: it has {size} bytes, but had {length} at the checkpoint")
            os.ftruncate(handle.fileno(), length)
    except OSError as error:
        raise failure(f"cannot continue {path}", error) from error
    return GrowingFile(path, length)


def failure(what: str, error: OSError) -> RecordError:
    """Convert an error of the operating system to a `RecordError`, or a `MachineError` if it affects all files.

    Args:
        what: Action that failed, such as "cannot write FILE".
        error: Error of the operating system.
    """
    kind = MachineError if error.errno in _MACHINE_WIDE else RecordError
    return kind(f"{what}: {reason(error)}")


def reason(error: OSError) -> str:
    """Return the message of the operating system, with a small first letter: "no space left on device"."""
    text = error.strerror or str(error)
    return text[:1].lower() + text[1:]
