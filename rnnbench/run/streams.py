"""The standard streams of a process, made such that no run ends for want of a character or of a reader.

Python's own raise an error at a character that their encoding lacks, and where a pipe's reader, a terminal or the room
on a disk is gone. One that was closed when the process began is None, and the next opened file takes its number.
"""

import errno
import io
import logging
import os
import select
import stat
import sys
from typing import Any, TextIO

from rnnbench.records.plain_file import without_following

_STDIN, _STDOUT, _STDERR = 0, 1, 2


class _Output(io.FileIO):
    """A file descriptor that drops everything after the first write that failed.

    Attributes:
        error: Why that write failed; None: all were possible.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write what can be written; returns the number of bytes that need not be written again."""
        if self.error is None:
            try:
                while (written := super().write(data)) is None:  # of a pipe that is full and does not block
                    select.select([], [self], [])
                return written
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes


class LogFile(logging.FileHandler):
    """Keeps what is logged in a file, as far as the disk has room for it."""

    def _open(self) -> io.TextIOWrapper:
        return _text(_Output(self.baseFilename, self.mode, opener=without_following), "utf-8")


def use_utf8() -> None:
    """Start the process anew where Python takes file names and arguments for ASCII, as with LC_ALL=C PYTHONUTF8=0."""
    if sys.getfilesystemencoding() == "ascii" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, sys.orig_argv)


def prepare_streams() -> None:
    """Make this process's streams fit for a long run; to be called before anything else is opened.

    Characters that cannot be encoded are written as escapes. What cannot be written is dropped, also by handlers of the
    log; `output_error` tells of it.
    """
    for descriptor in (_STDIN, _STDOUT, _STDERR):
        try:
            os.fstat(descriptor)
        except OSError:  # it was closed, so that the next file would get its number, and what others print
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115 - for as long as the process
    sys.stdout, sys.stderr = _fit(sys.stdout, _STDOUT), _fit(sys.stderr, _STDERR)
    logging.raiseExceptions = False  # they are told on stderr, with a traceback for every line


def output_error() -> OSError | None:
    """Why standard output could not be written; None: all of it was, or its reader has gone, which is no error."""
    sys.stdout.flush()
    output = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if not isinstance(output, _Output) or output.error is None:
        return None
    is_terminal_gone = output.error.errno == errno.EIO and stat.S_ISCHR(os.fstat(output.fileno()).st_mode)
    return None if is_terminal_gone or output.error.errno == errno.EPIPE else output.error


def _fit(stream: TextIO | None, descriptor: int) -> TextIO:
    """A stream in place of one of Python's; None: it was closed when the process began."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8", errors="backslashreplace")
    assert isinstance(stream, io.TextIOWrapper)
    stream.flush()
    output = _Output(descriptor, "w", closefd=False)
    output.name = stream.name
    return _text(output, stream.encoding, line_buffering=stream.line_buffering or stream.write_through)


def _text(output: _Output, encoding: str, *, line_buffering: bool = False) -> io.TextIOWrapper:
    """A stream of text; characters that the encoding lacks become escapes."""
    buffer = io.BufferedWriter(output)
    return io.TextIOWrapper(buffer, encoding=encoding, errors="backslashreplace", line_buffering=line_buffering)
