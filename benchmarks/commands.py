"""Commands as a person types them: each a process of its own, timed from its start to its end."""

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
MOST_COMPLAINT_LINES = 5


class CommandError(MeasurementError):
    """A command that was to be measured failed; the message has its last lines."""


@dataclass(frozen=True)
class Outcome:
    """The result of a command.

    Attributes:
        seconds: From its start to its end.
        said: Lines on stderr, each with the seconds since the start.
        output: Text on stdout.
        peak_bytes: Largest resident set; None where the system does not tell (other than Linux).
        open_files: Most file descriptors at a moment; None likewise.
    """

    seconds: float
    said: Sequence[tuple[float, str]] = ()
    output: str = ""
    peak_bytes: int | None = None
    open_files: int | None = None

    def seconds_until(self, text: str) -> float:
        """Seconds until a line with a text was printed on stderr.

        Raises:
            CommandError: There is no such line.
        """
        for seconds, line in self.said:
            if text in line:
                return seconds
        raise CommandError(f"the command never said {text!r}")


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
            with contextlib.suppress(OSError, KeyError):  # it has not begun or has ended, or there is no such folder
                lines = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
                self.peak_bytes = int(lines["VmHWM"].split()[0]) * 1024
                self.open_files = max(self.open_files or 0, len(os.listdir(folder / "fd")))

    def stop(self) -> None:
        self._ended.set()


def run_python(words: Sequence[str], cwd: Path | None = None) -> Outcome:
    """Run this Python with some words, to its end.

    Args:
        words: After the name of the interpreter.
        cwd: Folder to run in; None: the current one.

    Raises:
        CommandError: Its exit status is not 0.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    said: list[tuple[float, str]] = []
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
                    said.append((time.perf_counter() - start, line.rstrip("\n")))
                status = process.wait()
            except BaseException:  # a signal: not to be waited for
                process.kill()
                raise
            seconds = time.perf_counter() - start
            watch.stop()
            thread.join()
        output.seek(0)
        printed = output.read()
    if status != 0:
        last = " | ".join(line for _, line in said[-MOST_COMPLAINT_LINES:])
        raise CommandError(f"{' '.join(words)} ended with exit status {status}: {last}")
    return Outcome(seconds, said, printed, watch.peak_bytes, watch.open_files)
