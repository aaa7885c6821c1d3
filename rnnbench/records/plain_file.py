"""Opens the files of a run folder, which are plain files: anything else under their names is refused.

A pipe would be waited for, and a symbolic link would be written through into a file that belongs to somebody else.
"""

import errno
import os
import stat
from io import FileIO
from pathlib import Path


def read_file(path: Path) -> bytes:
    """Read a whole file; a symbolic link to one is followed.

    Raises:
        OSError: It is missing, cannot be read, or is no plain file.
    """
    with open_to_read(path) as handle:
        return handle.readall()


def open_to_read(path: Path) -> FileIO:
    """Open a file for reading; a symbolic link to one is followed.

    Raises:
        OSError: It is missing, cannot be read, or is no plain file.
    """
    return _checked(open(path, "rb", buffering=0, opener=_without_waiting))


def open_to_write(path: Path) -> FileIO:
    """Open an existing file for reading and writing in place.

    Raises:
        OSError: It is missing, cannot be written, is a symbolic link or no plain file.
    """
    try:
        handle = open(path, "r+b", buffering=0, opener=without_following)  # noqa: SIM115 - the caller closes it
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link") from error
        raise
    return _checked(handle)


def without_following(path: str, flags: int) -> int:
    """Opener of a file that is written: neither waits for a pipe nor follows a symbolic link."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _checked(handle: FileIO) -> FileIO:
    """The handle, if it is that of a plain file."""
    mode = os.fstat(handle.fileno()).st_mode
    if not stat.S_ISREG(mode):
        handle.close()
        raise OSError(errno.EINVAL, "it is no plain file")
    return handle
