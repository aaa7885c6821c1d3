"""The console that everything for a person goes through."""

from typing import TextIO

from rich.console import Console


class RunConsole(Console):
    """A rich console that falls silent when its reader is gone, where rich's own would end the process."""

    def __init__(self, stream: TextIO, *, is_terminal: bool | None = None, width: int | None = None) -> None:
        """A console on a stream.

        Args:
            stream: Where to.
            is_terminal: Whether it can draw; None: what the stream says.
            width: Columns; None: those of the terminal, whatever they become.
        """
        super().__init__(file=stream, force_terminal=is_terminal, width=width)

    def on_broken_pipe(self) -> None:
        """Print nothing more."""
        self.quiet = True
