"""Run a sweep of 16 jobs in two groups on a Slurm cluster of one node, disturb it, and compare with an inline sweep.

The cluster is made for the purpose and ends with the check. Every column of every metrics.csv but the times has to be
equal, character by character.
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cluster import PACKAGES, CheckError, Cluster, install, missing_programs, wait_until
from sweeps import (
    CLASSES,
    NUM_JOBS,
    UPDATES,
    WORDS,
    Command,
    begun_at,
    differences,
    environment_of,
    last_updates,
    without_cluster,
)

QUICK, SLOW = 0.01, 0.08
"""Seconds of pause in an update; with the second one a sweep takes longer than a time limit of two minutes."""


class Check:
    """One scenario at a time.

    Args:
        cluster: The cluster.
        folder: An empty folder.
        reference: The folder of the inline sweep.
    """

    def __init__(self, cluster: Cluster, folder: Path, reference: Path) -> None:
        self.cluster, self.sweep = cluster, folder / "sweep"
        self._folder, self._reference, self._commands = folder, reference, list[Command]()

    def train(self, *words: str, pause: float = QUICK) -> Command:
        """Start the sweep on the cluster."""
        backend = ("hydra.launcher.backend=submitit_slurm", "hydra.launcher.submitit.cpus_per_task=1")
        own = ("train", "-m", "--config-dir", str(CLASSES), *WORDS, *backend, f"hydra.sweep.dir={self.sweep}", *words)
        return self._start(own, pause)

    def resume(self, status: int = 0) -> None:
        """Go on with the sweep on the cluster, to its end."""
        self._start(("resume", str(self.sweep), "--config-dir", str(CLASSES)), 0).end(status)

    def wait_for_training(self, command: Command) -> None:
        """Wait until every job has been trained for 200 updates, and is not finished yet."""
        is_there = lambda: min(last_updates(self.sweep)) >= 200 or not command.is_running()  # noqa: E731
        wait_until(is_there, "all jobs to have 200 updates")
        if not command.is_running() or max(last_updates(self.sweep)) >= UPDATES:
            raise CheckError(f"the sweep was over too early: {command.output}")

    def finish(self, command: Command) -> str:
        """Wait for the end of the sweep and compare it; returns how often Slurm has started each group, and where."""
        jobs = command.jobs()
        command.end(0)
        begun = begun_at(self._folder / "trace")
        for job in jobs:
            updates = begun.get(job, [])
            if self.cluster.restarts(job) < 1 or len(updates) < 2 or updates[-1] < 200:
                raise CheckError(
                    f"Slurm job {job} should have been restarted and continued; it started at updates {updates}"
                )
        self.compare()
        return "; ".join(f"job {job} began at updates {', '.join(map(str, begun[job]))}" for job in jobs)

    def compare(self) -> None:
        """Compare the records with those of the inline sweep, and make the report.

        Raises:
            CheckError: They differ.
        """
        found = differences(self._reference, self.sweep)
        if found:
            raise CheckError("; ".join(found))
        report = self._start(("report", str(self.sweep)), 0)
        report.end(0)
        if f"{NUM_JOBS} run" not in report.output:
            raise CheckError(f"the report does not know all runs: {report.output}")

    def close(self) -> None:
        """End what is still running."""
        for command in self._commands:
            command.kill()

    def _start(self, words: Sequence[str], pause: float) -> Command:
        environment = environment_of(self.cluster.environment, pause=pause, trace=self._folder / "trace")
        log = self._folder / f"output-{len(self._commands)}"
        self._commands.append(Command(*words, environment=environment, log=log))
        return self._commands[-1]


# ---------------------------------------------------------------- scenarios


def requeued(check: Check) -> str:
    """An administrator's `scontrol requeue` of both groups."""
    command = check.train("hydra.launcher.submitit.timeout_min=60")
    check.wait_for_training(command)
    for job in command.jobs():
        check.cluster.call("scontrol", "requeue", job)
    return check.finish(command)


def preempted(check: Check) -> str:
    """A job of a partition with a higher priority takes the whole node at once."""
    return _preempted(check, "sweeps")


def preempted_with_grace(check: Check) -> str:
    """The same, after a minute of grace."""
    return _preempted(check, "patient")


def _preempted(check: Check, partition: str) -> str:
    words = ("hydra.launcher.submitit.timeout_min=60", f"hydra.launcher.submitit.slurm_partition={partition}")
    command = check.train(*words)
    check.wait_for_training(command)
    sleep = ("--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 5")
    check.cluster.call("sbatch", *sleep)
    return check.finish(command)


def time_limit(check: Check) -> str:
    """Slurm's time limit of two minutes, half a minute before which it sends SIGUSR2, or up to a minute earlier."""
    words = ("hydra.launcher.submitit.timeout_min=2", "hydra.launcher.submitit.slurm_signal_delay_s=30")
    return check.finish(check.train(*words, pause=SLOW))


def too_many_limits(check: Check) -> str:
    """SIGUSR2 where no group may be requeued: the command says what to type."""
    words = ("hydra.launcher.submitit.timeout_min=5", "hydra.launcher.submitit.slurm_max_num_timeout=0")
    command = check.train(*words)
    check.wait_for_training(command)
    for job in command.jobs():
        check.cluster.call("scancel", "--signal=USR2", job)
    return _resumed(check, command, 140, "was ended by SIGUSR2, with a checkpoint; `rnnbench resume` continues it")


def interrupted(check: Check) -> str:
    """Ctrl-C of the command: it cancels the Slurm jobs, which leave checkpoints."""
    command = check.train("hydra.launcher.submitit.timeout_min=60")
    check.wait_for_training(command)
    jobs = command.jobs()
    command.interrupt()
    message = _resumed(check, command, 130, "rnnbench resume")
    for job in jobs:
        if check.cluster.state(job) != "CANCELLED":
            raise CheckError(f"Slurm job {job} was not cancelled but is {check.cluster.state(job)}")
    return message


def cancelled(check: Check) -> str:
    """`scancel` of a group that is training and of one that is waiting for the node."""
    command = check.train("hydra.launcher.submitit.timeout_min=60", "hydra.launcher.submitit.cpus_per_task=2")
    first, second = command.jobs()
    wait_until(lambda: last_updates(check.sweep)[0] >= 200, "the first group to have 200 updates")
    if check.cluster.state(second) != "PENDING":
        raise CheckError(f"the second group was to wait, but is {check.cluster.state(second)}")
    check.cluster.call("scancel", second, first)
    return _resumed(check, command, 143, f"Slurm job {second} ended without a result (CANCELLED)")


def _resumed(check: Check, command: Command, status: int, words: str) -> str:
    """Resume a sweep that has ended with an exit status and said some words, and compare it."""
    command.end(status)
    if words not in command.output:
        raise CheckError(f"it was to say {words!r}: {command.output}")
    updates = last_updates(check.sweep)
    if not 200 <= max(updates) < UPDATES:
        raise CheckError(f"the sweep was to be unfinished, at updates {updates}")
    check.resume()
    check.compare()
    return f"exit status {status} at update {max(updates)}, then rnnbench resume"


def refused(check: Check) -> str:
    """A partition that does not exist: one line, exit status 2, no folder."""
    command = check.train("hydra.launcher.submitit.slurm_partition=nowhere")
    command.end(2)
    line = command.output.splitlines()[-1]
    if "Invalid partition" not in line or check.sweep.exists():
        raise CheckError(f"it was to name the partition and leave nothing: {command.output}")
    return line


SCENARIOS: dict[str, Callable[[Check], str]] = {
    scenario.__name__: scenario
    for scenario in (
        requeued,
        preempted,
        preempted_with_grace,
        time_limit,
        too_many_limits,
        interrupted,
        cancelled,
        refused,
    )
}


def main() -> int:
    """Run the scenarios; returns the exit status: 0 if all went as they should, 1 if not, 2 if Slurm is missing."""
    parser = argparse.ArgumentParser(prog="scripts/slurm_check", description=__doc__.partition("\n")[0])
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"default: all; {', '.join(SCENARIOS)}")
    parser.add_argument("--install", action="store_true", help=f"install {' and '.join(PACKAGES)} first, as root")
    given = parser.parse_args()
    unknown = [name for name in given.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"there is no scenario {unknown[0]}; there are {', '.join(SCENARIOS)}")
    try:
        if given.install and missing_programs():
            install()
        if missing_programs():
            _say(f"{', '.join(missing_programs())} missing: apt-get install {' '.join(PACKAGES)}, or --install as root")
            return 2
        return _run(given.scenarios or list(SCENARIOS))
    except CheckError as error:
        _say(str(error))
        return 1


def _run(names: Sequence[str]) -> int:
    """Run scenarios on a cluster."""
    folder, failed = Path(tempfile.mkdtemp(prefix="slurm_check_sweeps_")), list[str]()
    reference = folder / "inline"
    inline = ("hydra.launcher.backend=inline", f"hydra.sweep.dir={reference}")
    train = ("train", "-m", "--config-dir", str(CLASSES), *WORDS, *inline)
    Command(*train, environment=without_cluster(), log=folder / "inline.log").end(0)
    _say(f"inline sweep: {NUM_JOBS} jobs in two groups, {UPDATES} updates each")
    with Cluster() as cluster:
        _say(f"{cluster.call('sinfo', '--version')}, one node, in {cluster.folder}")
        for name in names:
            (folder / name).mkdir()
            check, begin = Check(cluster, folder / name, reference), time.monotonic()
            try:
                message = SCENARIOS[name](check)
            except CheckError as error:
                failed.append(name)
                _say(f"{name}: FAILED: {error}")
            else:
                same = "" if name == "refused" else f"; {NUM_JOBS} of {NUM_JOBS} metrics.csv equal, report made"
                _say(f"{name}: {message}{same} ({time.monotonic() - begin:.0f} s)")
            finally:
                check.close()
        if failed:
            raise CheckError(f"{len(failed)} of {len(names)} scenarios failed; see {folder} and {cluster.folder}")
    shutil.rmtree(folder)
    _say(f"{len(names)} of {len(names)} scenarios passed; the cluster has ended")
    return 0


def _say(line: str) -> None:
    print(f"slurm_check: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
