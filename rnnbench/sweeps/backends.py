"""Backends that run the groups of a sweep: in this process, in parallel worker processes, or by submitit."""

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from rnnbench.config.launcher_settings import LauncherSettings
from rnnbench.config.trust import Trusted
from rnnbench.exit_status import FAILED, OK, of_signal
from rnnbench.run.processors import num_processors
from rnnbench.run.setup import RunSetup
from rnnbench.sweeps.group_run import run_group_or_report
from rnnbench.sweeps.progress import GroupsProgress
from rnnbench.sweeps.submitit_backend import run_by_submitit
from rnnbench.sweeps.workers import send_signal, start_worker
from rnnbench.training.interrupt import Interrupt

SECONDS_BETWEEN_POLLS = 0.1
SECONDS_BETWEEN_SIGNALS = 1.0

Say = Callable[[str], None]


def run_groups(
    folder: Path,
    numbers: Sequence[int],
    settings: LauncherSettings,
    trusted: Trusted,
    setups: Mapping[int, RunSetup],
    *,
    quiet: bool,
    say: Say,
) -> int:
    """Run groups of a sweep.

    Args:
        folder: Folder of the sweep, with its sweep.json.
        numbers: Numbers of the groups to run.
        settings: Settings of the launcher.
        trusted: Folders and modules whose classes may be imported; passed on to every process.
        setups: Number of a group -> its objects, if this process has built them; other processes build their own.
        quiet: Whether to hide progress.
        say: Function that reports what submitit does with each group.

    Returns:
        The worst exit status of a group, or 128 + N if signal N ended them.
    """
    if settings.backend == "inline":
        return _run_inline(folder, numbers, trusted, setups, quiet=quiet, fail_fast=settings.fail_fast)
    if settings.backend == "processes":
        return _run_in_processes(folder, numbers, settings, trusted, quiet=quiet)
    return run_by_submitit(folder, numbers, settings, trusted, say=say)


def _run_inline(
    folder: Path,
    numbers: Sequence[int],
    trusted: Trusted,
    setups: Mapping[int, RunSetup],
    *,
    quiet: bool,
    fail_fast: bool,
) -> int:
    worst = OK
    with Interrupt() as interrupt:  # signals between two groups count too
        for number in numbers:
            worst = max(worst, run_group_or_report(folder, number, trusted, quiet=quiet, setup=setups.get(number)))
            if interrupt.signal is not None:
                return of_signal(interrupt.signal)
            if fail_fast and worst == FAILED:
                break
    return worst


# ---------------------------------------------------------------- processes


def _run_in_processes(
    folder: Path, numbers: Sequence[int], settings: LauncherSettings, trusted: Trusted, *, quiet: bool
) -> int:
    """Run groups in parallel worker processes, each on its share of the processors."""
    count = min(int(settings.processes), len(numbers))
    share = max(1, num_processors() // count)
    pending, running, worst = list(numbers), dict[int, ForkServerProcess](), OK
    with Interrupt() as interrupt, GroupsProgress(folder, numbers, quiet=quiet) as progress:
        signal_due, failed_fast = 0.0, False
        while running or (pending and interrupt.signal is None and not failed_fast):
            ending = signal.SIGTERM if failed_fast else interrupt.signal  # signal that the workers are sent; None: none
            while pending and len(running) < count and ending is None:
                number = pending.pop(0)
                running[number] = start_worker(folder, number, trusted, share)
                progress.started(number)
            if ending is not None and time.monotonic() >= signal_due:
                for worker in running.values():
                    if worker.pid is not None and worker.exitcode is None:
                        # Repeat: a worker that is still starting ignores signals. A second SIGINT would abort it.
                        send_signal(worker.pid, signal.SIGTERM if signal_due else ending)
                signal_due = time.monotonic() + SECONDS_BETWEEN_SIGNALS
            for number, worker in list(running.items()):
                status = worker.exitcode
                if status is not None:
                    del running[number]
                    has_failed = status < 0 or status == FAILED
                    if not failed_fast or has_failed:  # the others end as they were told
                        worst = max(worst, FAILED if has_failed else status)
                    progress.ended(number, status, failed_fast=failed_fast)
                    failed_fast |= settings.fail_fast and has_failed
            progress.refresh()
            time.sleep(SECONDS_BETWEEN_POLLS)
        return worst if interrupt.signal is None else of_signal(interrupt.signal)
