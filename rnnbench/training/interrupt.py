"""Signals that ask a command to end: the run saves its records, then ends."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

ENDING = tuple(
    getattr(signal, name)
    for name in (
        "SIGINT",  # Ctrl-C
        "SIGTERM",  # kill, service managers, containers, clusters
        "SIGHUP",  # the terminal or the connection is closed
        "SIGQUIT",  # Ctrl-\\
        "SIGXCPU",  # the processor time of `ulimit -t` or of a cluster's job is used up
        "SIGUSR1",  # warning before the time limit of a cluster job: Slurm, Grid Engine
        "SIGUSR2",  # the same: submitit, Grid Engine, LSF
        "SIGALRM",  # a time limit: `timeout -s ALRM`, or alarm() before exec, which stays set
        "SIGVTALRM",  # a limit of processor time
        "SIGPROF",
        "SIGIO",
        "SIGPWR",
        "SIGSTKFLT",
    )
    if hasattr(signal, name)  # macOS lacks some of them
)
"""Signals that end a process by default.

Excluded are real-time signals and those that report a fault of the process itself, such as SIGSEGV and SIGABRT.
"""


class Interrupted(BaseException):
    """A signal asked the command to end; not an `Exception`, so that it is never handled as an error."""


class Interrupt:
    """Context manager that handles the signals in `ENDING`, except ignored ones (`nohup` ignores SIGHUP).

    The first signal is stored. `Interrupted` is raised only inside `allowed`: training allows it while an update is
    computed, whose work is then discarded, but never while the result is stored. A second Ctrl-C or SIGQUIT raises
    KeyboardInterrupt; other repeated signals have no effect. A nested `Interrupt` starts with the signal that the outer
    one has received, and passes its own signal to the outer one when it ends.

    Attributes:
        signal: Signal that was received; None: none so far.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._raise_at_once = False
        self._previous: dict[signal.Signals, Any] = {}
        self._outer: Interrupt | None = None

    def __enter__(self) -> "Interrupt":
        """Install the signal handlers; Python allows this in the main thread only."""
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: the handler was installed by C code
                    self._previous[number] = signal.signal(number, self._receive)
            outers = (getattr(handler, "__self__", None) for handler in self._previous.values())
            self._outer = next((outer for outer in outers if isinstance(outer, Interrupt)), None)
            if self._outer is not None and self.signal is None:
                self.signal = self._outer.signal
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the previous signal handlers."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._outer is not None and self._outer.signal is None:
            self._outer.signal = self.signal

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number in (signal.SIGINT, signal.SIGQUIT):
            raise KeyboardInterrupt
        if self.signal is None:
            self.signal = signal.Signals(number)
        if self._raise_at_once:
            raise Interrupted

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Let a signal raise `Interrupted` at once inside this context; a signal received before raises on entry."""
        self._raise_at_once = True
        try:
            if self.signal is not None:
                raise Interrupted
            yield
        finally:
            self._raise_at_once = False
