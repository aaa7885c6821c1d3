"""Ctrl-C and SIGTERM: a run ends in order, with its records."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

EXIT_STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


class Interrupted(BaseException):
    """The run was told to end; not an `Exception`, so that nothing takes it for an error."""


class Interrupt:
    """Takes SIGINT and SIGTERM while it is entered.

    A signal is remembered, and raised as `Interrupted` only where the training loop allows it: inside an update, whose
    work is thrown away, never in the middle of taking over its result. A second Ctrl-C raises KeyboardInterrupt.

    Attributes:
        signal: What was received; None: nothing.
    """

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self._raise_at_once = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        """Take the signals over; only the main thread can."""
        if threading.current_thread() is threading.main_thread():
            for number in EXIT_STATUS:
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
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
