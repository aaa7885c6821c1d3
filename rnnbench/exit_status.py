"""Exit statuses of the commands."""

OK, FAILED, BAD_INPUT = 0, 1, 2

INTERRUPTED, TERMINATED = 130, 143
"""Ended by Ctrl-C, or by SIGTERM."""
