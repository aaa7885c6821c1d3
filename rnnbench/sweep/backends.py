"""Backends that run the groups of a sweep: in this process, in parallel worker processes, or by submitit."""

import contextlib
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from rnnbench.config.errors import ConfigError
from rnnbench.config.launcher_settings import LauncherSettings
from rnnbench.config.trust import Trusted
from rnnbench.exit_status import FAILED, OK, of_signal
from rnnbench.run.processors import num_processors
from rnnbench.run.streams import prepare_streams
from rnnbench.sweep.group_run import run_group_or_report
from rnnbench.sweep.plan import read_plan
from rnnbench.sweep.progress import progress_line
from rnnbench.sweep.workers import send_signal, signals_ignored, start_worker
from rnnbench.training.interrupt import Interrupt

SECONDS_BETWEEN_POLLS, SECONDS_BETWEEN_LINES = 0.1, 10.0
SECONDS_BETWEEN_SIGNALS = 1.0

NO_TIME_LIMIT = 366 * 24 * 60
"""Time limit in minutes for tasks on this machine; submitit's default would end them after two minutes."""

Say = Callable[[str], None]


def run_groups(
    folder: Path, numbers: Sequence[int], settings: LauncherSettings, trusted: Trusted, *, quiet: bool, say: Say
) -> int:
    """Run groups of a sweep.

    Args:
        folder: Folder of the sweep, with its sweep.json.
        numbers: Numbers of the groups to run.
        settings: Settings of the launcher.
        trusted: Folders and modules whose classes may be imported; passed on to every process.
        quiet: Whether to hide progress.
        say: Function that reports the start and end of each group.

    Returns:
        The worst exit status of a group, or 128 + N if signal N ended them.
    """
    if settings.backend == "inline":
        return _run_inline(folder, numbers, trusted, quiet=quiet, say=say)
    if settings.backend == "processes":
        return _run_in_processes(folder, numbers, trusted, int(settings.processes), say=say)
    return _run_by_submitit(folder, numbers, settings, trusted, say=say)


def _run_task(folder: Path, number: int, trusted: Trusted) -> int:
    """Run one group as a task of submitit."""
    prepare_streams()
    return run_group_or_report(folder, number, trusted, quiet=True)


def _run_inline(folder: Path, numbers: Sequence[int], trusted: Trusted, *, quiet: bool, say: Say) -> int:
    worst = OK
    with Interrupt() as interrupt:  # signals between two groups count too
        for number in numbers:
            worst = max(worst, run_group_or_report(folder, number, trusted, quiet=quiet))
            if interrupt.signal is not None:
                return of_signal(interrupt.signal)
    return worst


# ---------------------------------------------------------------- processes


def _run_in_processes(folder: Path, numbers: Sequence[int], trusted: Trusted, count: int, *, say: Say) -> int:
    """Run groups in parallel worker processes, each on its share of the processors."""
    count = min(count, len(numbers))
    share = max(1, num_processors() // count)
    pending, running, worst = list(numbers), dict[int, ForkServerProcess](), OK
    with Interrupt() as interrupt:
        line_due, signal_due = time.monotonic() + SECONDS_BETWEEN_LINES, 0.0
        while running or (pending and interrupt.signal is None):
            while pending and len(running) < count and interrupt.signal is None:
                number = pending.pop(0)
                running[number] = start_worker(folder, number, trusted, share)
                say(f"group {number} started")
            if interrupt.signal is not None and time.monotonic() >= signal_due:
                for worker in running.values():
                    if worker.pid is not None and worker.exitcode is None:
                        # Repeat: a worker that is still starting ignores signals. A second SIGINT would abort it.
                        send_signal(worker.pid, signal.SIGTERM if signal_due else interrupt.signal)
                signal_due = time.monotonic() + SECONDS_BETWEEN_SIGNALS
            for number, worker in list(running.items()):
                status = worker.exitcode
                if status is not None:
                    del running[number]
                    worst = max(worst, status if status >= 0 else FAILED)
                    say(_outcome(number, status))
            if running and time.monotonic() >= line_due:
                say(progress_line(read_plan(folder), list(running)))
                line_due = time.monotonic() + SECONDS_BETWEEN_LINES
            time.sleep(SECONDS_BETWEEN_POLLS)
        return worst if interrupt.signal is None else of_signal(interrupt.signal)


def _outcome(number: int, status: int) -> str:
    """How a group ended, in words."""
    if status < 0:
        return f"group {number} was killed by signal {-status}; `rnnbench resume` continues it"
    return f"group {number} ended" + ("" if status == OK else f" with exit status {status}")


# ---------------------------------------------------------------- submitit


def _run_by_submitit(
    folder: Path, numbers: Sequence[int], settings: LauncherSettings, trusted: Trusted, *, say: Say
) -> int:
    """Submit every group as a task of submitit, and wait for all of them."""
    try:
        import submitit
    except ImportError as error:
        raise ConfigError(
            f"hydra.launcher.backend={settings.backend} needs submitit: pip install 'rnnbench[slurm]'"
        ) from error
    is_local = settings.backend == "submitit_local"
    # Always a new folder: submitit loads the pickles that it finds, and an untrusted sweep may contain some.
    (folder / "submitit").mkdir(exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix=time.strftime("%Y-%m-%d_%H-%M-%S_"), dir=folder / "submitit"))
    executor = submitit.AutoExecutor(folder=own, cluster=settings.backend.removeprefix("submitit_"))
    limits = {"timeout_min": NO_TIME_LIMIT} if is_local else {}
    try:
        executor.update_parameters(name=folder.name, **{**limits, **settings.submitit})
    except (TypeError, ValueError, NameError) as error:
        raise ConfigError(f"hydra.launcher.submitit: {str(error).splitlines()[0]}") from error
    with Interrupt() as interrupt:
        # Tasks on this machine must receive Ctrl-C once, not also through the process that submitit runs them in.
        with signals_ignored() if is_local else contextlib.nullcontext():
            tasks = {number: executor.submit(_run_task, folder, number, trusted) for number in numbers}
        for number, task in tasks.items():
            say(f"group {number} is task {task.job_id}; its output is in {own}")
        while interrupt.signal is None and not all(task.done() for task in tasks.values()):
            time.sleep(SECONDS_BETWEEN_POLLS)
        if interrupt.signal is not None:
            _cancel_and_wait(list(tasks.values()), is_local=is_local)
            return of_signal(interrupt.signal)
        statuses = [_result(number, task, say) for number, task in tasks.items()]
    return max(statuses, default=OK)


def _cancel_and_wait(tasks: Sequence[Any], *, is_local: bool) -> None:
    """Ask tasks to end, and wait until they have written their checkpoints and ended.

    On a cluster, tasks are cancelled and get the time that the cluster is configured to give. On this machine submitit
    would kill a cancelled task after one second, so SIGTERM is sent to its process instead; repeatedly, because a task
    that is still starting ignores it.
    """
    if not is_local:
        for task in tasks:
            task.cancel()
    signal_due = time.monotonic()
    while running := [task for task in tasks if not task.done()]:
        if is_local and time.monotonic() >= signal_due:
            for task in running:
                send_signal(int(task.job_id), signal.SIGTERM)
            signal_due = time.monotonic() + SECONDS_BETWEEN_SIGNALS
        time.sleep(SECONDS_BETWEEN_POLLS)


def _result(number: int, task: Any, say: Say) -> int:
    """The exit status of a task."""
    error = task.exception()
    if error is not None:
        say(f"group {number} failed: {str(error).splitlines()[-1]}")
        return FAILED
    status: int = task.result()
    say(_outcome(number, status))
    return status
