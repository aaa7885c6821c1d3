"""One process at a time works on a folder; the lock is the system's, so that it ends with its process, however."""

import contextlib
import errno
import fcntl
import os
import re
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import failure
from rnnbench.records.messages import say

FILE_NAME = ".lock"

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
_HOLDER = re.compile(rb"process \d+ on [^\n]*\n")
_LONGEST_HOLDER = 1000


class HeldError(RecordError):
    """Another process works on the folder."""


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Hold a folder, by the lock of its file .lock; see `locked`.

    On a file system without locks nothing is held, which is told on stderr.
    """
    with locked(folder / FILE_NAME, str(folder)) as is_held:
        if not is_held:
            say(f"{folder} is on a file system without locks: let no second command work on it")
        yield


@contextlib.contextmanager
def locked(path: Path, what: str, *, wait: bool = False) -> Iterator[bool]:
    """Hold a lock; yields whether it is held, which it is not where the file system has no locks.

    Args:
        path: Its file, which is made and left behind.
        what: What it stands for, for the message.
        wait: Wait for it where it is held, as what is done under it takes a moment only.

    Raises:
        HeldError: Another process holds it; the message names that one.
        RecordError: The file cannot be made, or something else is in its place.
    """
    descriptor = _open(path)
    try:
        is_held = _lock(descriptor, path, what, wait=wait)
        _write_holder(descriptor)
        yield is_held
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """Open the file of a lock: never the file that a link leads to, and without waiting at a pipe."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if path.is_symlink():
            raise RecordError(f"cannot lock {path}: it is a symbolic link; remove it") from error
        raise failure(f"cannot write {path}", error) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RecordError(f"cannot lock {path}: it is not a regular file; remove it")
    return descriptor


def _lock(descriptor: int, path: Path, what: str, *, wait: bool) -> bool:
    """Lock an open file; whether that was possible."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        holder = os.pread(descriptor, _LONGEST_HOLDER, 0)
        name = holder.decode(errors="replace").strip() if _HOLDER.fullmatch(holder) else "another process"
        raise HeldError(f"{what} is being worked on by {name}; wait for it, or stop it first") from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise failure(f"cannot lock {path}", error) from error
        return False
    return True


def _write_holder(descriptor: int) -> None:
    """Name this process in the file of a lock, unless the file holds something else."""
    with contextlib.suppress(OSError):  # a full disk; the name is for a message alone
        before = os.pread(descriptor, _LONGEST_HOLDER, 0)
        if not before or _HOLDER.fullmatch(before):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
