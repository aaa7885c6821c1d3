"""One process at a time works on a folder; the lock is the system's, so that it ends with its process, however."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import failure

FILE_NAME = ".lock"


class HeldError(RecordError):
    """Another process works on the folder."""


@contextlib.contextmanager
def locked(path: Path, what: str, *, wait: bool = False) -> Iterator[None]:
    """Hold a lock.

    Args:
        path: Its file, which is made and left behind.
        what: What it stands for, for the message.
        wait: Wait for it where it is held, as what is done under it takes a moment only.

    Raises:
        HeldError: Another process holds it; the message names that one.
        RecordError: The file cannot be made.
    """
    try:
        handle = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - held for as long as the lock
    except OSError as error:
        raise failure(f"cannot write {path}", error) from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            handle.seek(0)
            holder = handle.read().strip() or "another process"
            raise HeldError(f"{what} is being worked on by {holder}; wait for it, or stop it first") from error
        except OSError:
            pass  # some network file systems have no locks
        with contextlib.suppress(OSError):  # a full disk; the name is for a message alone
            os.ftruncate(handle.fileno(), 0)
            os.write(handle.fileno(), f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
