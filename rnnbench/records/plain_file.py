"""Opens the files of a run folder, which must be regular files.

Opening a pipe would block, and writing through a symbolic link would change a file outside the folder.
"""

import errno
import os
import stat
from io import FileIO
from pathlib import Path


def read_file(path: Path) -> bytes:
    """Read a whole file; symbolic links are followed.

    Raises:
        OSError: The file is missing, cannot be read, or is not a regular file.
    """
    with open_to_read(path) as handle:
        return handle.readall()


def open_to_read(path: Path) -> FileIO:
    """Open a file for reading; symbolic links are followed.

    Raises:
        OSError: The file is missing, cannot be read, or is not a regular file.
    """
    return _checked(open(path, "rb", buffering=0, opener=_without_waiting))


def open_to_write(path: Path) -> FileIO:
    """Open an existing file for reading and writing in place.

    Raises:
        OSError: The file is missing, cannot be written, is a symbolic link, or is not a regular file.
    """
    try:
        handle = open(path, "r+b", buffering=0, opener=without_following)  # noqa: SIM115 - the caller closes it
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "it is a symbolic link") from error
        raise
    return _checked(handle)


def without_following(path: str, flags: int) -> int:
    """Opener for writing that neither blocks on a pipe nor follows a symbolic link."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _checked(handle: FileIO) -> FileIO:
    """Return the handle if its file is a regular file, else close it and raise OSError."""
    mode = os.fstat(handle.fileno()).st_mode
    if not stat.S_ISREG(mode):
        handle.close()
        raise OSError(errno.EINVAL, "it is not a regular file")
    return handle
