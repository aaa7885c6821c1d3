"""Locks that let one process at a time write to a folder; the system releases them when the process ends."""

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


class LockedError(RecordError):
    """Another process holds the lock."""


@contextlib.contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Lock a folder by its file .lock; see `locked`.

    On a file system without locks, a warning is printed on stderr instead.
    """
    with locked(folder / FILE_NAME, str(folder)) as is_held:
        if not is_held:
            say(f"{folder} is on a file system without locks: do not run a second command on it")
        yield


@contextlib.contextmanager
def locked(path: Path, what: str, *, wait: bool = False) -> Iterator[bool]:
    """Hold a lock.

    Args:
        path: Path of the lock file, which is created and not removed.
        what: Name of the locked object, for the message.
        wait: Whether to wait for a process that holds the lock; only for locks that are held briefly.

    Yields:
        Whether the lock is held; False: the file system has no locks.

    Raises:
        LockedError: Another process holds the lock; the message names it.
        RecordError: The file cannot be created, or is not a regular file.
    """
    descriptor = _open(path)
    try:
        is_held = _lock(descriptor, path, what, wait=wait)
        _write_holder(descriptor)
        yield is_held
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """Open a lock file, without following a symbolic link or blocking on a pipe."""
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
    """Lock an open file; returns whether the file system has locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        holder = os.pread(descriptor, _LONGEST_HOLDER, 0)
        name = holder.decode(errors="replace").strip() if _HOLDER.fullmatch(holder) else "another process"
        raise LockedError(f"{what} is locked by {name}; wait until it ends, or stop it first") from error
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise failure(f"cannot lock {path}", error) from error
        return False
    return True


def _write_holder(descriptor: int) -> None:
    """Write the name of this process into a lock file, unless the file holds something else."""
    with contextlib.suppress(OSError):  # for example a full disk; only a message needs the name
        before = os.pread(descriptor, _LONGEST_HOLDER, 0)
        if not before or _HOLDER.fullmatch(before):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
