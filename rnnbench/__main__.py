"""The process of the command `rnnbench`, or `python -m rnnbench`."""

import atexit
import logging
import os
import signal
import sys
from typing import NoReturn

from rnnbench.run.allocator import prepare_allocator
from rnnbench.run.streams import prepare_streams, use_utf8


class QuickEnd:
    """Ends the process when all that was registered with atexit after it has been done.

    What is left then is the interpreter's: it takes about a second to take torch apart, for which a script of many
    commands would wait every time.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        atexit.register(self._end)

    def _end(self) -> None:
        if self.status is None:
            return  # an unexpected error, which the interpreter reports
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(self.status)


def run() -> NoReturn:
    """Run the command of this process's words, and end the process."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # before `main` takes the signals, and after: no traceback
    use_utf8()
    prepare_streams()
    from rnnbench.cli import main

    prepare_allocator()
    end = QuickEnd()
    end.status = main()
    sys.exit(end.status)


if __name__ == "__main__":
    run()
