"""Worker processes that run groups of a sweep in parallel.

They are forked from a process that imports everything a group needs while the jobs are planned. So a group starts about
two seconds earlier than in a new interpreter.
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

IMPORTED = ["rnnbench.sweeps.worker_template"]


def prepare() -> None:
    """Start the process that workers are forked from, unless it is running; returns at once."""
    multiprocessing.set_forkserver_preload(IMPORTED)
    with signals_ignored():  # the new process inherits this, so that signals to all processes end only the workers
        forkserver.ensure_running()


def start_worker(folder: Path, number: int, trusted: Trusted, processors: int) -> ForkServerProcess:
    """Start a process that runs one group; signals from the terminal reach it only through this process.

    Args:
        folder: Folder of the sweep.
        number: Number of the group.
        trusted: Folders and modules whose classes may be imported.
        processors: Number of processors that it may use.
    """
    prepare()
    context = multiprocessing.get_context("forkserver")
    worker = context.Process(target=_work, args=(folder, number, trusted, processors), name=f"group {number}")
    with _without_main_module():
        worker.start()
    return worker


def send_signal(process_id: int, number: int) -> None:
    """Send a signal to a process if it still exists."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process_id, number)


@contextlib.contextmanager
def signals_ignored() -> Iterator[None]:
    """Ignore the signals that end a command, in the main thread; a process started meanwhile inherits this."""
    ending = ENDING if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ending}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _work(folder: Path, number: int, trusted: Trusted, processors: int) -> None:
    """The main function of a worker."""
    from rnnbench.sweeps.group_run import run_group_or_report

    os.setsid()
    prepare_streams()
    for ending in ENDING:  # ignored by the process that it was forked from
        signal.signal(ending, signal.SIG_DFL)
    with Interrupt() as interrupt:
        try:
            with interrupt.allowed():
                use_processors(processors)
                threading.Thread(target=_end_with_parent, daemon=True).start()
                status = run_group_or_report(folder, number, trusted, quiet=True)
        except (Interrupted, KeyboardInterrupt):
            status = of_signal(interrupt.signal or signal.SIGINT)
    sys.exit(status)


def _end_with_parent() -> None:
    """If the command itself is killed, end as by SIGTERM, with a checkpoint."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def _without_main_module() -> Iterator[None]:
    """Hide the main script, which a worker would import again."""
    main, sys.modules["__main__"] = sys.modules["__main__"], types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
