"""Printing of a command's result on standard output."""

from collections.abc import Callable, Iterator, Sequence

from rnnbench.exit_status import FAILED, OK
from rnnbench.records.growing_file import reason
from rnnbench.records.messages import printable, say
from rnnbench.run.streams import output_error


def show(lines: Callable[[], Sequence[str] | Iterator[str]]) -> int:
    """Print lines that are the whole result of a command; returns its exit status."""
    for text in lines():
        for line in text.split("\n"):
            print(printable(line))
    return output_status()


def output_status() -> int:
    """The exit status of a command whose result is what it has printed."""
    error = output_error()
    if error is None:
        return OK
    say(f"cannot write to standard output: {reason(error)}")
    return FAILED
