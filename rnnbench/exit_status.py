"""Exit statuses of the commands: ended as planned, a job failed, bad input, ended by a signal."""

OK, FAILED, BAD_INPUT = 0, 1, 2


def of_signal(number: int) -> int:
    """The exit status of a command that was ended by a signal, as shells report it: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + number


def is_of_signal(status: int) -> bool:
    """Whether an exit status means that a signal ended the command."""
    return status > of_signal(0)
