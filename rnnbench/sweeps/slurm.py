"""States of Slurm jobs, read from squeue; unlike sacct, it needs no accounting database."""

import os
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENDED = frozenset(
    {
        *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL"),
        *("OUT_OF_MEMORY", "PREEMPTED", "REVOKED", "TIMEOUT"),
    }
)
"""States of a job that will not run again; a requeued job is PENDING."""

UNKNOWN = "no longer known to Slurm"
SECONDS_FOR_SQUEUE = 30.0


@dataclass(frozen=True)
class OwnJob:
    """The Slurm job that this process belongs to.

    Attributes:
        restarts_by_itself: Whether Slurm has requeued the job and is ending its processes.
        is_preempted: Whether the job is in the grace time of a preemption. Slurm requeues it only if its processes are
            still running at the end of that time.
    """

    restarts_by_itself: bool
    is_preempted: bool


def own_job(environment: Mapping[str, str] = os.environ) -> OwnJob | None:
    """The Slurm job of this process; None: the process belongs to no job, or Slurm does not answer.

    Args:
        environment: The environment variables that Slurm has set.
    """
    job_id = environment.get("SLURM_JOB_ID")
    if job_id is None:
        return None
    words = _squeue(f"--jobs={job_id}", "--Format=State:.30,RestartCnt:.10,PreemptTime:.30")
    try:
        (state, restarts, preempted_at), *_ = [line.split() for line in words or ()]
        before = int(environment.get("SLURM_RESTART_COUNT", "0"))
        return OwnJob(int(restarts) > before, state == "RUNNING" and preempted_at != "N/A")
    except ValueError:
        return None


def job_states() -> dict[str, str] | None:
    """The states of the user's jobs by job number, recently ended ones included; None: Slurm does not answer."""
    lines = _squeue(f"--user={os.getuid()}", "--format=%i %T")
    return None if lines is None else dict(line.split() for line in lines)


def _squeue(*arguments: str) -> list[str] | None:
    """Call squeue; returns its lines, None if it fails."""
    command = ["squeue", "--noheader", "--states=all", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS_FOR_SQUEUE, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return [line for line in done.stdout.splitlines() if line.strip()]


class SlurmWatch:
    """Detects which jobs have ended: jobs that have left a result, and jobs that Slurm has ended without a result.

    Args:
        folder: The folder in which submitit keeps the files of the jobs.
        jobs: Jobs of submitit.

    Attributes:
        ended: Number of each job that has ended without a result -> its last state.
    """

    def __init__(self, folder: Path, jobs: Sequence[Any]) -> None:
        self.ended: dict[str, str] = {}
        self._folder, self._jobs = folder, jobs
        self._ended_before = frozenset[str]()
        self._call_due = time.monotonic()

    def running(self, seconds_between_calls: float) -> list[Any]:
        """The jobs that have not ended.

        Args:
            seconds_between_calls: Shortest time between two calls of squeue. A job has ended without a result if two
                consecutive calls report that it has ended: a shared file system may show the result late.
        """
        os.chmod(self._folder, stat.S_IMODE(self._folder.stat().st_mode))  # makes NFS refresh the list of files
        running = self._without_result()
        if running and time.monotonic() >= self._call_due:
            states = job_states()
            if states is not None:
                ended = {job.job_id: states.get(job.job_id, UNKNOWN) for job in running}
                ended = {number: state for number, state in ended.items() if state in {*ENDED, UNKNOWN}}
                running = self._without_result()  # a result may have appeared in the meantime
                late = {job.job_id for job in running} & self._ended_before
                self.ended |= {number: state for number, state in ended.items() if number in late}
                self._ended_before = frozenset(ended)
                running = self._without_result()
            self._call_due = time.monotonic() + seconds_between_calls
        return running

    def _without_result(self) -> list[Any]:
        return [job for job in self._jobs if job.job_id not in self.ended and not job.paths.result_pickle.exists()]
