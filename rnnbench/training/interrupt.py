"""Signals that tell a command to end: a run then ends in order, with its records."""

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
        "SIGHUP",  # the terminal or the connection is gone
        "SIGQUIT",  # Ctrl-\\
        "SIGXCPU",  # the processor time of `ulimit -t` or of a cluster's job is used up
        "SIGUSR1",  # what schedulers are asked to send before a job's time is up: Slurm, Grid Engine
        "SIGUSR2",  # the same: submitit, Grid Engine, LSF
        "SIGALRM",  # a time limit: `timeout -s ALRM`, and alarm() before exec, which stays set
        "SIGVTALRM",  # the same of the time that it computes
        "SIGPROF",
        "SIGIO",
        "SIGPWR",
        "SIGSTKFLT",
    )
    if hasattr(signal, name)  # macOS has not all of them
)
"""Signals that end a process which does nothing about them.

Not those that tell of a fault of the process itself, such as SIGSEGV and SIGABRT, nor real-time signals.
"""


class Interrupted(BaseException):
    """The command was told to end; not an `Exception`, so that nothing takes it for an error."""


class Interrupt:
    """Takes the signals in `ENDING` while it is entered, except those that are ignored, as `nohup` ignores SIGHUP.

    The first signal is remembered, and raised as `Interrupted` only where `allowed` permits it: in training inside an
    update, whose work is thrown away, never in the middle of taking over its result. A second Ctrl-C or SIGQUIT
    raises KeyboardInterrupt; other repetitions change nothing. An `Interrupt` that is entered inside another takes over
    what the other has received, and hands on what it receives.

    Attributes:
        signal: What was received; None: nothing.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._raise_at_once = False
        self._previous: dict[signal.Signals, Any] = {}
        self._outer: Interrupt | None = None

    def __enter__(self) -> "Interrupt":
        """Take the signals over; only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: C code waits for it
                    self._previous[number] = signal.signal(number, self._receive)
            outers = (getattr(handler, "__self__", None) for handler in self._previous.values())
            self._outer = next((outer for outer in outers if isinstance(outer, Interrupt)), None)
            if self._outer is not None and self.signal is None:
                self.signal = self._outer.signal
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
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
        """Where a signal may end the work at once, and one received before does."""
        self._raise_at_once = True
        try:
            if self.signal is not None:
                raise Interrupted
            yield
        finally:
            self._raise_at_once = False
