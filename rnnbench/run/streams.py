"""Standard streams whose errors never end a run.

Python's own streams raise an error for a character that their encoding lacks, and if the reader of a pipe, the terminal
or the space on a disk is gone. A stream that was closed at the start of the process is None, and the next opened file
gets its descriptor.
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
    """A file that drops all output after the first failed write.

    Attributes:
        error: Error of the failed write; None: no write has failed.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write or drop data; returns the number of bytes that need not be written again."""
        if self.error is None:
            try:
                while (written := super().write(data)) is None:  # None: a full non-blocking pipe
                    select.select([], [self], [])
                return written
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes


class LogFile(logging.FileHandler):
    """Log file that drops further lines after a write has failed, for example because the disk is full."""

    def _open(self) -> io.TextIOWrapper:
        return _text(_Output(self.baseFilename, self.mode, opener=without_following), "utf-8")


def use_utf8() -> None:
    """Restart the process in UTF-8 mode if Python decodes file names as ASCII, as with LC_ALL=C PYTHONUTF8=0."""
    if sys.getfilesystemencoding() == "ascii" and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, sys.orig_argv)


def prepare_streams() -> None:
    """Replace the standard streams by ones whose errors never end a run; call this before any file is opened.

    Characters that cannot be encoded are written as escapes. Output that cannot be written is dropped, also by log
    handlers; `output_error` returns the error.
    """
    for descriptor in (_STDIN, _STDOUT, _STDERR):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: the next opened file would get this descriptor, and all output to it
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115 - stays open
    sys.stdout, sys.stderr = _fit(sys.stdout, _STDOUT), _fit(sys.stderr, _STDERR)
    logging.raiseExceptions = False  # else every failed log line prints a traceback on stderr


def output_error() -> OSError | None:
    """Return why standard output could not be written; None: all was written, or the reader closed it."""
    sys.stdout.flush()
    output = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if not isinstance(output, _Output) or output.error is None:
        return None
    is_terminal_gone = output.error.errno == errno.EIO and stat.S_ISCHR(os.fstat(output.fileno()).st_mode)
    return None if is_terminal_gone or output.error.errno == errno.EPIPE else output.error


def _fit(stream: TextIO | None, descriptor: int) -> TextIO:
    """Return the replacement of a standard stream; None: the stream was closed at the start of the process."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8", errors="backslashreplace")
    assert isinstance(stream, io.TextIOWrapper)
    stream.flush()
    output = _Output(descriptor, "w", closefd=False)
    output.name = stream.name
    return _text(output, stream.encoding, line_buffering=stream.line_buffering or stream.write_through)


def _text(output: _Output, encoding: str, *, line_buffering: bool = False) -> io.TextIOWrapper:
    """Return a text stream that writes characters its encoding lacks as escapes."""
    buffer = io.BufferedWriter(output)
    return io.TextIOWrapper(buffer, encoding=encoding, errors="backslashreplace", line_buffering=line_buffering)
