"""Processes that run groups of a sweep side by side.

They are forked from a process that has imported all that a group needs, which it does while the jobs are planned; so a
group begins some two seconds earlier than in a new interpreter.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import types
from collections.abc import Iterator
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from rnnbench.config.trust import Trusted
from rnnbench.exit_status import of_signal
from rnnbench.run.processors import use_processors
from rnnbench.run.streams import prepare_streams
from rnnbench.training.interrupt import ENDING, Interrupt, Interrupted

IMPORTED = ["rnnbench.sweep.worker_template"]


def prepare() -> None:
    """Start the process that workers are forked from, where there is none yet; it returns at once."""
    multiprocessing.set_forkserver_preload(IMPORTED)
    with signals_ignored():  # the new process inherits that: what is sent to all of them ends the workers, not it
        forkserver.ensure_running()


def start_worker(folder: Path, number: int, trusted: Trusted, processors: int) -> ForkServerProcess:
    """Start a process that runs one group; signals of the terminal reach it through this one alone.

    Args:
        folder: The sweep's folder.
        number: Of the group.
        trusted: The folders and modules whose classes may be imported.
        processors: How many it may use.
    """
    prepare()
    context = multiprocessing.get_context("forkserver")
    worker = context.Process(target=_work, args=(folder, number, trusted, processors), name=f"group {number}")
    with _without_main_module():
        worker.start()
    return worker


def send_signal(process_id: int, number: int) -> None:
    """Send a signal to a process, if it is still there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, number)


@contextlib.contextmanager
def signals_ignored() -> Iterator[None]:
    """Ignore the signals that end a command, as a process that is started meanwhile then does; in the main thread."""
    ending = ENDING if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ending}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _work(folder: Path, number: int, trusted: Trusted, processors: int) -> None:
    """What a worker does."""
    from rnnbench.sweep.group_run import run_one

    os.setsid()
    prepare_streams()
    for ending in ENDING:  # which the process that it was forked from ignores
        signal.signal(ending, signal.SIG_DFL)
    with Interrupt() as interrupt:
        try:
            with interrupt.allowed():
                use_processors(processors)
                threading.Thread(target=_end_with_parent, daemon=True).start()
                status = run_one(folder, number, trusted, quiet=True)
        except (Interrupted, KeyboardInterrupt):
            status = of_signal(interrupt.signal or signal.SIGINT)
    sys.exit(status)


def _end_with_parent() -> None:
    """Where the command itself is killed, end as by SIGTERM: with a checkpoint."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def _without_main_module() -> Iterator[None]:
    """Hide the script that was started: a worker would run it again, as far as its `if __name__ == "__main__"`."""
    main, sys.modules["__main__"] = sys.modules["__main__"], types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
