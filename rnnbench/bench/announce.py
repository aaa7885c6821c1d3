"""Progress of a measurement on stderr: on a terminal one line that is overwritten, otherwise one line per stage."""

import sys
from types import TracebackType
from typing import Self, TextIO

from rnnbench.records.terminal import choose_mode

_CLEAR = "\r\x1b[K"
_WIDTH = 100


class Announcer:
    """Context manager that shows the current measurement and finally clears the line."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Choose the form of the progress; nothing is shown yet.

        Args:
            stream: Stream for the progress; None: stderr.
        """
        self._stream = sys.stderr if stream is None else stream
        self._overwrites = choose_mode(False, self._stream) == "bar"
        self._stage = ""

    def __enter__(self) -> Self:
        """Return the announcer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the line."""
        self.clear()

    def stage(self, text: str) -> None:
        """Start a stage."""
        self._stage = text
        if self._overwrites:
            self.detail("")
        else:
            print(f"rnnbench: measuring {text}", file=self._stream, flush=True)

    def detail(self, text: str) -> None:
        """Show the progress within the stage, on a terminal only."""
        if self._overwrites:
            line = f"measuring {self._stage}: {text}" if text else f"measuring {self._stage}"
            print(f"{_CLEAR}{line[:_WIDTH]}", end="", file=self._stream, flush=True)

    def clear(self) -> None:
        """Clear the line, so that something else can be printed."""
        if self._overwrites:
            print(_CLEAR, end="", file=self._stream, flush=True)
