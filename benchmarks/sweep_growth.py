"""Growth of a sweep with its jobs: time and memory per replica, and planning before the first update."""

import csv
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.commands import CommandError, Outcome, run_python
from rnnbench.bench.announce import Announcer
from rnnbench.bench.report import Report, mebibytes
from rnnbench.bench.timing import Statistics
from rnnbench.records.wording import count

LOG_EVERY = 20
UPDATES = 2 * LOG_EVERY + 10
"""Enough for two timed rows that are separate from the evaluations at the start and at the end."""

STEPS, SEQUENCES, UNITS = 20, 10, 20

ONE_PROCESS = ("hydra.launcher.backend=inline",)
"""Overrides for measurements of a single process."""

PLANNING_TARGET_SECONDS = 40.0
"""Target of the time until the first update of 512 jobs."""

COMPOSED, GROUPED, TRAINED = "jobs -> ", " batched run", "update 0/"
"""Parts of the lines on stderr that mark the stages: all jobs are composed and checked, all folders are created, the
first update begins."""


# ---------------------------------------------------------------- growth


@dataclass(frozen=True)
class Size:
    """Cost of a sweep of one size.

    Attributes:
        replicas: R.
        update: Seconds per update of all replicas.
        command: Seconds of the whole command.
        peak_bytes: Largest resident set of the process; None: unknown.
        open_files: Largest number of open file descriptors; None: unknown.
    """

    replicas: int
    update: float
    command: float
    peak_bytes: int | None
    open_files: int | None


def report_growth(sizes: Sequence[int], rounds: int, threads: Sequence[str], announcer: Announcer) -> Report:
    """Run sweeps that differ only in the number of replicas.

    Args:
        sizes: Numbers of replicas in ascending order; memory is counted relative to the first.
        rounds: Number of rounds.
        threads: Override for the number of threads; empty: the default.
        announcer: Shows the progress.
    """
    found: dict[int, list[Size]] = {size: [] for size in sizes}
    for number in range(rounds):
        for size in sizes:
            announcer.stage(f"growth, {count(size, 'replica')}, round {number + 1}")
            found[size].append(_run_size(size, threads))
    return growth_table({size: _typical(runs) for size, runs in found.items()}, found)


def _run_size(size: int, threads: Sequence[str]) -> Size:
    """Run one sweep."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", "-m", "task=adding", "optim=nag", f"seed=range(0,{size})", *threads]
        words += [f"task.sequence_length={STEPS}", f"optim.batch_size={SEQUENCES}", f"model.hidden_size={UNITS}"]
        words += [f"budget.updates={UPDATES}", f"record.log_every={LOG_EVERY}", f"record.evaluate_every={UPDATES}"]
        words += [f"hydra.sweep.dir={folder}/sweep"]
        words += ONE_PROCESS
        outcome = run_python(["-m", "rnnbench", *words])
        update = seconds_of_an_update(Path(folder) / "sweep" / "0" / "metrics.csv")
    return Size(size, update, outcome.seconds, outcome.peak_bytes, outcome.open_files)


def seconds_of_an_update(metrics: Path) -> float:
    """Return the seconds per update between the first two rows after the start; one row is completed meanwhile.

    Raises:
        CommandError: A row is missing.
    """
    with metrics.open(encoding="utf-8", newline="") as file:
        seconds = {int(row["update"]): float(row["time/seconds"]) for row in csv.DictReader(file)}
    try:
        return (seconds[2 * LOG_EVERY] - seconds[LOG_EVERY]) / LOG_EVERY
    except KeyError as error:
        raise CommandError(f"there is no row of update {error} in {metrics}") from error


def _typical(runs: Sequence[Size]) -> Size:
    """Return the medians of the times over rounds, and the maxima of memory and files."""
    peaks = [run.peak_bytes for run in runs if run.peak_bytes is not None]
    files = [run.open_files for run in runs if run.open_files is not None]
    return Size(
        runs[0].replicas,
        Statistics.of([run.update for run in runs]).median,
        Statistics.of([run.command for run in runs]).median,
        max(peaks, default=None),
        max(files, default=None),
    )


def growth_table(found: dict[int, Size], rounds: dict[int, list[Size]]) -> Report:
    """Make the table of the growth.

    Args:
        found: Number of replicas, ascending -> typical cost.
        rounds: Number of replicas -> cost of every run, for JSON.
    """
    base, *others = found.values()
    own = {size.replicas: _mebibytes_of_a_replica(size, base) for size in others}
    rows = [
        [
            str(size.replicas),
            f"{1e6 * size.update / size.replicas:.1f}",
            f"{1e3 * size.command / size.replicas:.1f}",
            mebibytes(size.peak_bytes),
            "-" if own.get(size.replicas) is None else f"{own[size.replicas]:.2f}",
            "-" if size.open_files is None else str(size.open_files),
        ]
        for size in found.values()
    ]
    last, before = others[-1], _before(others)
    ratio = last.update / last.replicas / (before.update / before.replicas)
    data: dict[str, Any] = {"update_ratio": ratio}
    note = f"With {last.replicas} replicas, each takes {ratio:.2f} of the time per update with {before.replicas}"
    memory, memory_before = own[last.replicas], own[before.replicas]
    if memory is not None and memory_before:
        data["memory_ratio"] = memory / memory_before
        note += f", and {memory / memory_before:.2f} of the memory"
    return Report(
        f"Growth with the replicas, nag, B={SEQUENCES} T={STEPS} n={UNITS}, "
        + count(len(next(iter(rounds.values()))), "round"),
        ["R", "us / update and R", "command ms / R", "peak MiB", "MiB / R", "open files"],
        rows,
        [
            f"{note}; the target is 1.",
            f"The time of an update is the mean of {LOG_EVERY} updates between two rows; meanwhile the probes complete "
            f"one row. The command has {UPDATES} updates and two evaluations. Memory of a replica is relative to the "
            f"process with {count(base.replicas, 'replica')}.",
        ],
        {
            "part": "growth",
            "updates": UPDATES,
            "log_every": LOG_EVERY,
            "sizes": [asdict(size) for size in found.values()],
            "rounds": {str(replicas): [asdict(run) for run in runs] for replicas, runs in rounds.items()},
            **data,
        },
    )


def _mebibytes_of_a_replica(size: Size, base: Size) -> float | None:
    """Return the memory per replica, relative to the process of the smallest sweep."""
    if size.peak_bytes is None or base.peak_bytes is None:
        return None
    return (size.peak_bytes - base.peak_bytes) / (size.replicas - base.replicas) / 2**20


def _before(others: Sequence[Size]) -> Size:
    """Return the size that the largest is compared with: the one closest to a tenth of it."""
    tenth = others[-1].replicas / 10
    return min(others[:-1] or others, key=lambda size: abs(size.replicas - tenth))


# ---------------------------------------------------------------- planning


def report_planning(num_seeds: int, rounds: int, threads: Sequence[str], announcer: Announcer) -> Report:
    """Time the stages before the first update of a grid of two learning rates and two momenta.

    Args:
        num_seeds: Number of seeds of each setting.
        rounds: Number of rounds.
        threads: Override for the number of threads; empty: the default.
        announcer: Shows the progress.
    """
    words = ["train", "-m", f"seed=range(0,{num_seeds})", "optim=nag", "optim.lr=1e-3,1e-4", "optim.momentum=0.9,0.98"]
    outcomes = []
    for number in range(rounds):
        announcer.stage(f"planning of {4 * num_seeds} jobs, round {number + 1}")
        with tempfile.TemporaryDirectory() as folder:
            own = ["budget.updates=1", *threads, f"hydra.sweep.dir={folder}/sweep", *ONE_PROCESS]
            outcomes.append(run_python(["-m", "rnnbench", *words, *own]))
    return planning_table(4 * num_seeds, outcomes)


def planning_table(num_jobs: int, outcomes: Sequence[Outcome]) -> Report:
    """Make the table of the planning.

    Args:
        num_jobs: Number of planned jobs.
        outcomes: Results of the command, one per round.

    Raises:
        CommandError: A command did not report a stage.
    """
    stages = {
        "all jobs are composed and checked": [outcome.seconds_until(COMPOSED) for outcome in outcomes],
        "all folders are created, the plan is on disk": [outcome.seconds_until(GROUPED) for outcome in outcomes],
        "the first update begins": [outcome.seconds_until(TRAINED) for outcome in outcomes],
        "the command has ended, after one update": [outcome.seconds for outcome in outcomes],
    }
    first = Statistics.of(stages["the first update begins"])
    return Report(
        f"Planning of {num_jobs} jobs of nag, {count(len(outcomes), 'round')}",
        ["from the start until", "s", "ms / job"],
        [
            [name, f"{(median := Statistics.of(times).median):.1f}", f"{1000 * median / num_jobs:.1f}"]
            for name, times in stages.items()
        ],
        [f"Target: the first update of 512 jobs in under {PLANNING_TARGET_SECONDS:.0f} s."],
        {
            "part": "planning",
            "jobs": num_jobs,
            "rounds": stages,
            "first_update": asdict(first),
            "target_seconds": PLANNING_TARGET_SECONDS,
        },
    )
