"""Makes .venv with rnnbench in it, or brings it up to date; returns at once when it is.

Run by scripts/bootstrap/run with any supported Python, before anything is installed: standard library only.

What .venv holds is written down in .venv/rnnbench-setup.json, marked incomplete before the first change and complete
after the last. So whatever interrupts a set-up, kill -9 included, the next call sees it and starts over: pip cannot be
trusted to repair a half-written package. A lock lets one call work while others wait; the running step inherits it, so
that a step that outlives a killed call is waited for too. A .venv that these scripts did not make is used, never
deleted.
"""

import os
import signal
import sys
from pathlib import Path

from setup_steps import Setup, SetupError, say


def main(extras: list[str]) -> int:
    """Set up the checkout that this file lies in; return the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the running step is ended too
    try:
        Setup(Path(__file__).resolve().parents[2], extras, os.environ).run()
    except KeyboardInterrupt:
        say("interrupted; the next call starts the set-up over")
        return 130
    except SetupError as error:
        say(str(error))
        return 2
    except OSError as error:  # no permission, disk full
        say(f"cannot set up .venv: {error}")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
