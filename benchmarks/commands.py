"""Runs whole commands, each in its own process, and times them from start to end."""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rnnbench.bench.case import MeasurementError

SECONDS_BETWEEN_POLLS = 0.02
MAX_ERROR_LINES = 5


class CommandError(MeasurementError):
    """A measured command failed; the message contains its last lines."""


@dataclass(frozen=True)
class Outcome:
    """The result of a command.

    Attributes:
        seconds: Time from its start to its end.
        stderr: Lines on stderr, each with the seconds since the start.
        output: Text on stdout.
        peak_bytes: Largest resident set; None: unknown (not on Linux).
        open_files: Largest number of open file descriptors; None: unknown (not on Linux).
    """

    seconds: float
    stderr: Sequence[tuple[float, str]] = ()
    output: str = ""
    peak_bytes: int | None = None
    open_files: int | None = None

    def seconds_until(self, text: str) -> float:
        """Return the seconds until a line with a given text was printed on stderr.

        Raises:
            CommandError: There is no such line.
        """
        for seconds, line in self.stderr:
            if text in line:
                return seconds
        raise CommandError(f"the command never printed {text!r}")


@dataclass
class _Watch:
    """Polls memory and open files of another process until it ends."""

    process: "subprocess.Popen[str]"
    peak_bytes: int | None = None
    open_files: int | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        folder = Path("/proc") / str(self.process.pid)
        while not self._ended.wait(SECONDS_BETWEEN_POLLS):
            with contextlib.suppress(OSError, KeyError):  # not started, ended, or no /proc
                lines = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
                self.peak_bytes = int(lines["VmHWM"].split()[0]) * 1024
                self.open_files = max(self.open_files or 0, len(os.listdir(folder / "fd")))

    def stop(self) -> None:
        self._ended.set()


def run_python(words: Sequence[str], cwd: Path | None = None) -> Outcome:
    """Run the Python interpreter with some arguments until it ends.

    Args:
        words: Arguments of the interpreter.
        cwd: Folder to run in; None: the current one.

    Raises:
        CommandError: The exit status is not 0.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    lines: list[tuple[float, str]] = []
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        start = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd,
            env=environment,
        ) as process:
            watch = _Watch(process)
            thread = threading.Thread(target=watch.run, name="bench-watch", daemon=True)
            thread.start()
            assert process.stderr is not None
            try:
                for line in process.stderr:
                    lines.append((time.perf_counter() - start, line.rstrip("\n")))
                status = process.wait()
            except BaseException:  # for example a signal: do not wait for the process
                process.kill()
                raise
            seconds = time.perf_counter() - start
            watch.stop()
            thread.join()
        output.seek(0)
        printed = output.read()
    if status != 0:
        last = " | ".join(line for _, line in lines[-MAX_ERROR_LINES:])
        raise CommandError(f"{' '.join(words)} ended with exit status {status}: {last}")
    return Outcome(seconds, lines, printed, watch.peak_bytes, watch.open_files)
