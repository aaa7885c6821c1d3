"""Runs one group of a sweep in a process of its own: `python -m rnnbench.sweep.worker FOLDER NUMBER [PROCESSORS]`."""

import os
import sys
from pathlib import Path


def main(words: list[str]) -> int:
    """Run a group.

    Args:
        words: The sweep's folder, the group's number, and the processors to keep to, with commas between them.

    Returns:
        The exit status of the group.
    """
    folder, number, *processors = words
    if processors:
        os.sched_setaffinity(0, {int(one) for one in processors[0].split(",")})
    from rnnbench.sweep.backends import run_one

    return run_one(Path(folder), int(number), quiet=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
