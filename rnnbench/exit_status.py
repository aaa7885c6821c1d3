"""Exit statuses of the commands."""

OK, FAILED, BAD_INPUT = 0, 1, 2


def of_signal(number: int) -> int:
    """Status of a command that a signal has ended, as shells count it: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + number


def is_of_signal(status: int) -> bool:
    """Whether a command that ended with this status was ended by a signal."""
    return status > of_signal(0)
