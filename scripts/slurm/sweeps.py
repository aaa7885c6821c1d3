"""The sweep of the check: as a command that is running, and what it has recorded."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from cluster import SECONDS_AT_MOST, CheckError, wait_until

CLASSES = Path(__file__).with_name("classes")
NUM_JOBS, NUM_GROUPS, UPDATES = 16, 2, 2000
WORDS = (
    *("task=paced", "task.sequence_length=10", "model.hidden_size=8", "threads=1"),
    *("optim=nag,sgd", f"seed=range(0,{NUM_JOBS // NUM_GROUPS})", "optim.batch_size=10", "probe=none"),
    *("record.log_every=20", "record.evaluate_every=100", "stop_when_solved=false", f"budget.updates={UPDATES}"),
    f"hydra.launcher.max_replicas={NUM_JOBS // NUM_GROUPS}",
)


class Command:
    """`rnnbench` in a separate process.

    Args:
        words: Arguments after `rnnbench`.
        environment: Environment variables of the process.
        log: A file for its output.
    """

    def __init__(self, *words: str, environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        with log.open("w", encoding="utf-8") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "rnnbench", *words], env=environment, stdout=output, stderr=output
            )

    @property
    def output(self) -> str:
        """The output of the process so far."""
        return self._log.read_text(encoding="utf-8")

    def jobs(self) -> list[str]:
        """The Slurm jobs of the groups that it has submitted, in their order, once all are."""

        def found() -> list[str]:
            return re.findall(r"group \d+ is task (\d+);", self.output)

        wait_until(lambda: len(found()) == NUM_GROUPS or not self.is_running(), "the groups to be submitted")
        if len(found()) != NUM_GROUPS:
            raise CheckError(f"the groups were not submitted: {self.output}")
        return found()

    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill it, if it is still running."""
        self._process.kill()
        self._process.wait()

    def end(self, status: int) -> None:
        """Wait for its end.

        Raises:
            CheckError: It does not end, or with another exit status.
        """
        try:
            ended = self._process.wait(SECONDS_AT_MOST)
        except subprocess.TimeoutExpired:
            self.kill()
            raise CheckError(f"it does not end: {self.output}") from None
        if ended != status or "Traceback" in self.output:
            raise CheckError(f"exit status {ended}, not {status}: {self.output}")


def last_updates(sweep: Path) -> list[int]:
    """The last update in the metrics.csv of each job; 0 without one."""
    tables = [_table(sweep / str(job)) for job in range(NUM_JOBS)]
    return [int(rows[-1]["update"]) if rows else 0 for rows in tables]


def differences(reference: Path, sweep: Path) -> list[str]:
    """How the records of a sweep differ from those of another; times are left out."""
    found = []
    for job in map(str, range(NUM_JOBS)):
        one, other = _table(reference / job), _table(sweep / job)
        if one != other:
            rows = [number for number, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
            found.append(f"job {job}: {len(one)} and {len(other)} rows, {len(rows)} of them differ, first {rows[:1]}")
        first, second = (json.loads((folder / job / "summary.json").read_text()) for folder in (reference, sweep))
        found += [
            f"job {job}: {key} is {first[key]} and {second[key]}"
            for key in ("status", "updates", "sequences", "loss", "error_rate")
            if first[key] != second[key]
        ]
    return found


def begun_at(trace: Path) -> dict[str, list[int]]:
    """For each Slurm job, the first update of each of its starts."""
    found: dict[str, list[int]] = {}
    for line in trace.read_text(encoding="utf-8").splitlines() if trace.exists() else ():
        job, update = line.split()
        found.setdefault(job, []).append(int(update))
    return found


def _table(folder: Path) -> list[dict[str, str]]:
    """metrics.csv as text, without the columns of times; no rows if there is none."""
    path = folder / "metrics.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as lines:
        whole = [row for row in csv.DictReader(lines) if None not in row.values()]
    return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in whole]


def environment_of(base: Mapping[str, str], *, pause: float, trace: Path) -> dict[str, str]:
    """The environment variables of a command whose updates take so long at least."""
    return {**base, "RNNBENCH_CHECK_PAUSE": str(pause), "RNNBENCH_CHECK_TRACE": str(trace), "PYTHONUNBUFFERED": "1"}


def without_cluster() -> dict[str, str]:
    """The environment variables of a command that needs no Slurm."""
    return dict(os.environ)
