"""Groups of a sweep as tasks of submitit: on this machine, or as jobs of Slurm."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnbench.config.errors import ConfigError
from rnnbench.config.launcher_settings import LauncherSettings
from rnnbench.config.trust import Trusted
from rnnbench.exit_status import FAILED, OK, is_of_signal, of_signal
from rnnbench.records.messages import say as say_in_log
from rnnbench.run.streams import prepare_streams
from rnnbench.sweeps.group_run import run_group_or_report
from rnnbench.sweeps.progress import outcome
from rnnbench.sweeps.slurm import SlurmWatch, own_job
from rnnbench.sweeps.workers import send_signal, signals_ignored
from rnnbench.training.interrupt import Interrupt

SECONDS_BETWEEN_POLLS, SECONDS_BETWEEN_SIGNALS = 0.1, 1.0
SECONDS_BETWEEN_CALLS, SECONDS_BETWEEN_CALLS_AT_THE_END = 20.0, 2.0
"""Time between two calls of squeue: while the groups run, and after they have been cancelled."""

NO_TIME_LIMIT = 366 * 24 * 60
"""Time limit in minutes for tasks on this machine; submitit's default would end them after two minutes."""

BEFORE_THE_LIMIT = (signal.SIGUSR1, signal.SIGUSR2)
"""Signals that Slurm may send before the time limit of a job; submitit requests SIGUSR2."""

Say = Callable[[str], None]


class GroupTask:
    """Runs one group in a process of submitit, and requeues it if Slurm is about to end it too early.

    Args:
        folder: The sweep's folder.
        number: The number of the group.
        trusted: The folders and modules whose classes may be imported.
    """

    def __init__(self, folder: Path, number: int, trusted: Trusted) -> None:
        self._folder, self._number, self._trusted = folder, number, trusted

    def __call__(self) -> int:
        """Train the group from its last checkpoint, if it has one; returns the exit status.

        Raises:
            SystemExit: The task will run again. It leaves no result, because the command would take the group as ended.
        """
        prepare_streams()
        with Interrupt() as interrupt:
            status = run_group_or_report(self._folder, self._number, self._trusted, quiet=True)
        if not is_of_signal(status):
            return status
        job = own_job()
        if job is not None and job.restarts_by_itself:
            sys.exit(status)
        if interrupt.signal in BEFORE_THE_LIMIT or (job is not None and job.is_preempted):
            self._requeue()
        return status

    def checkpoint(self) -> Any:
        """Return the task that submitit runs after requeuing: the same one; it continues from the checkpoint."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)

    def _requeue(self) -> None:
        """Let submitit requeue this task by its own signal handler, unless it has been requeued too often.

        Raises:
            SystemExit: The task is requeued.
        """
        from submitit import JobEnvironment
        from submitit.core.utils import UncompletedJobError

        number = signal.Signals[f"SIG{JobEnvironment.USR_SIG}"]
        handler = signal.getsignal(number)
        try:
            if callable(handler):
                handler(number, None)
        except (UncompletedJobError, subprocess.SubprocessError, OSError) as error:
            say_in_log(f"group {self._number} is not requeued: {error}")


def run_by_submitit(
    folder: Path, numbers: Sequence[int], settings: LauncherSettings, trusted: Trusted, *, say: Say
) -> int:
    """Submit every group to submitit as a separate task, and wait for all of them.

    Args:
        folder: The sweep's folder.
        numbers: The numbers of the groups.
        settings: Settings of the launcher.
        trusted: The folders and modules whose classes may be imported.
        say: Called with messages about the groups.

    Returns:
        The worst exit status of a group, or 128 + N if signal N ended them.

    Raises:
        ConfigError: submitit rejects its parameters, or no task could be submitted.
    """
    is_local = settings.backend == "submitit_local"
    # Always a new folder: submitit loads the pickles that it finds, and an untrusted sweep may contain some.
    (folder / "submitit").mkdir(exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix=time.strftime("%Y-%m-%d_%H-%M-%S_"), dir=folder / "submitit"))
    executor = _executor(own, folder.name, settings)
    with Interrupt() as interrupt:
        # Tasks on this machine must receive Ctrl-C once, not also through the process that submitit runs them in.
        with signals_ignored() if is_local else contextlib.nullcontext():
            jobs, refusal = _submit(executor, [GroupTask(folder, number, trusted) for number in numbers])
        if refusal is not None and not jobs:
            raise ConfigError(f"hydra.launcher.backend={settings.backend}: {refusal}")
        tasks = dict(zip(numbers, jobs, strict=False))
        for number, job in tasks.items():
            say(f"group {number} is task {job.job_id}; its output is in {own}")
        for number in numbers[len(jobs) :]:
            say(f"group {number} was not submitted: {refusal}; `rnnbench resume` submits it")
        watch = None if is_local else SlurmWatch(own, jobs)
        failed_fast = False
        while interrupt.signal is None and not failed_fast:
            running = _running(jobs, watch, SECONDS_BETWEEN_CALLS)
            if not running:
                break
            failed_fast = settings.fail_fast and any(_has_failed(job, watch) for job in jobs if job not in running)
            time.sleep(SECONDS_BETWEEN_POLLS)
        if interrupt.signal is not None or failed_fast:
            _cancel_and_wait(jobs, watch)
        if interrupt.signal is not None:
            return of_signal(interrupt.signal)
        ended = {} if watch is None else watch.ended
        statuses = [_result(number, job, ended.get(job.job_id), say) for number, job in tasks.items()]
    return FAILED if failed_fast else max([*statuses, OK if refusal is None else FAILED])


def _executor(folder: Path, name: str, settings: LauncherSettings) -> Any:
    """The executor of submitit for the tasks of a sweep.

    Raises:
        ConfigError: submitit is missing, rejects its parameters, or does not find Slurm.
    """
    try:
        import submitit
    except ImportError as error:
        raise ConfigError(
            f"hydra.launcher.backend={settings.backend} needs submitit: pip install 'rnnbench[slurm]'"
        ) from error
    cluster = settings.backend.removeprefix("submitit_")
    requeues, parameters = _split(settings.submitit, f"{cluster}_max_num_timeout")
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster, **requeues)
    except RuntimeError as error:
        raise ConfigError(f"hydra.launcher.backend={settings.backend}: {error}") from error
    limits = {"timeout_min": NO_TIME_LIMIT} if cluster == "local" else {}
    try:
        executor.update_parameters(name=name, **{**limits, **parameters})
    except (TypeError, ValueError, NameError, AssertionError) as error:
        raise ConfigError(f"hydra.launcher.submitit: {str(error).splitlines()[0]}") from error
    return executor


def _split(parameters: Mapping[str, Any], name: str) -> tuple[dict[str, int], dict[str, Any]]:
    """Separate the number of requeues allowed, an argument of submitit's executor, from the other parameters.

    Raises:
        ConfigError: The number is not a whole number >= 0.
    """
    others = dict(parameters)
    number = others.pop(name, None)
    if number is None:
        return {}, others
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise ConfigError(f"hydra.launcher.submitit.{name} must be a whole number >= 0, got {number!r}")
    return {name: number}, others


def _submit(executor: Any, tasks: Sequence[GroupTask]) -> tuple[list[Any], str | None]:
    """Submit tasks until one is refused, as Slurm does with a wrong partition or too many jobs.

    Returns:
        The jobs, and the reason why the next task was refused; None: all were accepted.
    """
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    jobs: list[Any] = []
    for task in tasks:
        try:
            with open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing):  # submitit repeats errors there
                jobs.append(executor.submit(task))
        except (FailedJobError, FailedSubmissionError, OSError) as error:
            return jobs, (str(error).strip() or type(error).__name__).splitlines()[-1]
    return jobs, None


def _running(jobs: Sequence[Any], watch: SlurmWatch | None, seconds_between_calls: float) -> list[Any]:
    """The jobs that have not ended."""
    return [job for job in jobs if not job.done()] if watch is None else watch.running(seconds_between_calls)


def _cancel_and_wait(jobs: Sequence[Any], watch: SlurmWatch | None) -> None:
    """Ask jobs to end, and wait until they have written their checkpoints and ended.

    On a cluster, jobs are cancelled and have the time that the cluster's configuration allows. On this machine submitit
    would kill a cancelled job after one second, so SIGTERM is sent to its process instead; repeatedly, because a task
    that is still starting ignores it.

    Args:
        jobs: Jobs of submitit.
        watch: Watch of the jobs of Slurm; None: the jobs run on this machine.
    """
    if watch is not None:
        for job in watch.running(0):
            job.cancel(check=False)
    signal_due = time.monotonic()
    while running := _running(jobs, watch, SECONDS_BETWEEN_CALLS_AT_THE_END):
        if watch is None and time.monotonic() >= signal_due:
            for job in running:
                send_signal(int(job.job_id), signal.SIGTERM)
            signal_due = time.monotonic() + SECONDS_BETWEEN_SIGNALS
        time.sleep(SECONDS_BETWEEN_POLLS)


def _has_failed(job: Any, watch: SlurmWatch | None) -> bool:
    """Whether a job that has ended failed, or left no result."""
    left_nothing = watch is not None and job.job_id in watch.ended
    return left_nothing or job.exception() is not None or job.result() == FAILED


def _result(number: int, job: Any, ended: str | None, say: Say) -> int:
    """The exit status of a group's job.

    Args:
        number: The number of the group.
        job: The job, which has ended.
        ended: Slurm's state of a job that ended without a result; None: it has a result, or ran on this machine.
        say: Called with a message about the outcome.
    """
    if ended is not None:
        say(f"group {number}: Slurm job {job.job_id} ended without a result ({ended}); `rnnbench resume` continues it")
        return FAILED
    error = job.exception()
    if error is not None:
        say(f"group {number} failed: {_last_line_of_trace(str(error))}; its output is in {job.paths.stderr}")
        return FAILED
    status: int = job.result()
    say(outcome(number, status) + (f"; its output is in {job.paths.stderr}" if status == FAILED else ""))
    return status


def _last_line_of_trace(message: str) -> str:
    """The exception in a message of submitit, which has the traceback between dashed lines."""
    parts = re.split(r"^-{10,}\n", message, flags=re.MULTILINE)
    return (parts[1] if len(parts) == 3 else message.partition("\n")[0]).strip().splitlines()[-1]
