"""Ctrl-C and SIGTERM: a run ends in order, with its records."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

EXIT_STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}

TIME_IS_UP = signal.SIGUSR2
"""What submitit, and Slurm at its request, sends before the end of a task's time; it counts as SIGTERM."""


class Interrupted(BaseException):
    """The run was told to end; not an `Exception`, so that nothing takes it for an error."""


class Interrupt:
    """Takes SIGINT and SIGTERM while it is entered.

    A signal is remembered, and raised as `Interrupted` only where the training loop allows it: inside an update, whose
    work is thrown away, never in the middle of taking over its result. A second Ctrl-C raises KeyboardInterrupt.
    One that is entered inside another takes over what the other has received, and hands on what it receives.

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
            # Where nobody waits for that signal it stays as it is.
            expected = [] if signal.getsignal(TIME_IS_UP) in (signal.SIG_DFL, signal.SIG_IGN) else [TIME_IS_UP]
            for number in (*EXIT_STATUS, *expected):
                self._previous[number] = signal.signal(number, self._receive)
            outer = getattr(self._previous[signal.SIGTERM], "__self__", None)
            if isinstance(outer, Interrupt):
                self._outer, self.signal = outer, outer.signal
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._outer is not None:
            self._outer.signal = self.signal

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = signal.SIGTERM if number == TIME_IS_UP else signal.Signals(number)
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
