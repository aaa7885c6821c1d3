"""Prints the result of a command on standard output."""

from collections.abc import Callable, Iterator, Sequence

from rnnbench.exit_status import FAILED, OK
from rnnbench.records.growing_file import reason
from rnnbench.records.messages import printable, say
from rnnbench.run.streams import output_error


def show(lines: Callable[[], Sequence[str] | Iterator[str]]) -> int:
    """Print the lines of a command's result; returns the exit status."""
    for text in lines():
        for line in text.split("\n"):
            print(printable(line))
    return output_status()


def output_status() -> int:
    """The exit status after printing: failed if standard output could not be written."""
    error = output_error()
    if error is None:
        return OK
    say(f"cannot write to standard output: {reason(error)}")
    return FAILED
