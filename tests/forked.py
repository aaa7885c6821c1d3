"""`rnnbench` in a process forked from one that has imported everything.

It starts at once, changes nothing in the tests' own process, and can be killed.
"""

import functools
import multiprocessing
import os
import sys
import time
from multiprocessing import forkserver

import pytest

from rnnbench.cli import main

SECONDS_AT_MOST = 300.0
"""That a command, or something that it is to do, may take."""


@functools.cache
def _forking():
    """The server that commands are forked from; it has to be told where modules lie."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["forked_from"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        forkserver.ensure_running()
    return context


class Command:
    """`rnnbench` in a process of its own.

    Attributes:
        process: The process.
    """

    def __init__(self, *words, output, before=None, given=()):
        """Start it.

        Args:
            words: After `rnnbench`.
            output: A folder for what it prints.
            before: Called in the process before the command, to do it harm; a function of a module.
            given: To that function.
        """
        self._output = output
        output.mkdir(exist_ok=True)
        for name in ("out", "err"):
            (output / name).write_text("")
        self.process = _forking().Process(target=_run, args=(words, output, before, given))
        self.process.start()

    def status(self):
        """Wait for its end; its exit status, negative for a signal."""
        self.process.join(SECONDS_AT_MOST)
        assert self.process.exitcode is not None, f"it does not end; it said {self.err}"
        return self.process.exitcode

    def signal(self, number):
        """Send a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    @property
    def out(self):
        """What it has printed on standard output."""
        return (self._output / "out").read_text()

    @property
    def err(self):
        """What it has printed on standard error."""
        return (self._output / "err").read_text()

    def wait_until(self, is_so):
        """Wait until something is so, or the process has ended."""
        deadline = time.monotonic() + SECONDS_AT_MOST
        while not is_so() and self.process.is_alive():
            assert time.monotonic() < deadline, f"it does not come about; the command said {self.err}"
            time.sleep(0.005)


def _run(words, output, before, given):
    """What the process does."""
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(output / name, os.O_WRONLY | os.O_APPEND), descriptor)
    os.chdir(output)
    if before is not None:
        before(*given)
    sys.exit(main(words))
