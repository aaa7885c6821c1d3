"""One group of a sweep: begun, gone on with, and run in halves where it does not fit into memory."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnbench.exit_status import FAILED, OK
from rnnbench.keeping import CHECKPOINT, Group, Job
from rnnbench.machine import NotEnoughMemoryError
from rnnbench.records import is_run_folder, read_summary
from rnnbench.records.live_aggregate import AggregatePlan
from rnnbench.records.lock import locked
from rnnbench.run import is_finished, read_checkpoint
from rnnbench.session import Session, Start, TooManyReplicasError, plan_of
from rnnbench.sweep.plan import SweepPlan, changing_plan, read_plan
from rnnbench.sweep.planning import aggregate_names
from rnnbench.training.checkpoint import save_checkpoint
from rnnbench.training.interrupt import EXIT_STATUS
from rnnbench.training.replica import Snapshot


@dataclass(frozen=True)
class Part:
    """Jobs of a group that are trained together.

    Attributes:
        rows: Which of the group's jobs.
        start: Where they are; None: nowhere yet.
        aggregate: Lengths of the files of the group's aggregate at that moment, where that is known.
    """

    rows: Sequence[int]
    start: Start | None
    aggregate: Sequence[Mapping[str, int]] | None = None


def run_group(folder: Path, number: int, *, quiet: bool) -> int:
    """Run a group of a sweep from wherever it is, as sweep.json says.

    Args:
        folder: The sweep's folder.
        number: Of the group.
        quiet: No progress on the terminal.

    Returns:
        The exit status: 0 ended as planned or was finished before, 1 a job failed, 130 or 143 ended by a signal.

    Raises:
        ConfigError: sweep.json or a checkpoint cannot be read, or a single job does not fit this machine.
        RecordError: Another process works on the group.
    """
    plan, status = read_plan(folder), OK
    jobs = plan.jobs(number)
    with locked(plan.checkpoint(number).with_suffix(".lock"), f"group {number} of {folder}"):
        for job in jobs:
            if not job.folder.is_dir():
                print(f"rnnbench: {job.folder} is gone; its job is left out", file=sys.stderr)
                status = FAILED
        for part in parts(plan, number, jobs):
            try:
                status = max(status, _run_part(plan, number, jobs, part, quiet=quiet))
            except (TooManyReplicasError, NotEnoughMemoryError):
                if len(part.rows) == 1:
                    raise
                status = max(status, _run_halves(plan, number, part, quiet=quiet))
                break
            if status in EXIT_STATUS.values():
                break
    return status


def _run_part(plan: SweepPlan, number: int, jobs: Sequence[Job], part: Part, *, quiet: bool) -> int:
    """Train some of a group's jobs together."""
    planned = plan.groups[number]
    group = Group(
        checkpoint=plan.checkpoint(number),
        names=[planned.folders[row] for row in part.rows],
        label=f"group {number}, {len(part.rows)} replicas",
        aggregate=AggregatePlan(
            folder=plan.folder / "aggregate",
            cells=aggregate_names(plan)[number],
            jobs=[job.folder for job in jobs],
            places=part.rows,
            lengths=part.aggregate,
        ),
    )
    return Session([jobs[row] for row in part.rows], quiet=quiet, start=part.start, group=group).run()


def parts(plan: SweepPlan, number: int, jobs: Sequence[Job]) -> list[Part]:
    """What is left to do of a group: the jobs of its checkpoint, and those whose budget has become larger.

    Jobs that have done the same number of updates go on together. Where they stood side by side before, their numbers
    are bit for bit those that they would have had without the stop.

    Args:
        plan: Of the sweep.
        number: Of the group.
        jobs: Of the group; those whose folders are gone are left out.
    """
    rows = [row for row, job in enumerate(jobs) if job.folder.is_dir()]
    path = plan.checkpoint(number)
    if not path.is_file():
        begun = any(is_run_folder(jobs[row].folder) for row in rows)
        return [Part(rows, Start(None, None, None) if begun else None)] if rows else []
    checkpoint = read_checkpoint(path)
    names = plan.groups[number].folders
    kept = [(place, row) for place, name in enumerate(checkpoint["jobs"]) if (row := names.index(name)) in rows]
    found = []
    if kept:
        start = Start(
            Snapshot.from_contents(checkpoint).rows([place for place, _ in kept]),
            [checkpoint["records"][place] for place, _ in kept],
            checkpoint["threads"],
        )
        found.append(Part([row for _, row in kept], start, checkpoint["aggregate"]))
    going_on = {row for _, row in kept}
    return found + _with_larger_budget(jobs, [row for row in rows if row not in going_on])


def _with_larger_budget(jobs: Sequence[Job], rows: Sequence[int]) -> list[Part]:
    """The jobs that ended because their budget was used up, and have a larger one by now."""
    found: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for row in rows:
        job = jobs[row]
        summary = read_summary(job.folder)
        if is_finished(summary.status, job.config) or summary.status == "failed":
            continue
        if plan_of(job.config).used_up(summary.updates, summary.sequences, summary.seconds) is None:
            found.setdefault(summary.updates, []).append((row, read_checkpoint(job.folder / CHECKPOINT)))
    return [
        Part(
            [row for row, _ in members],
            Start(
                Snapshot.join([Snapshot.from_contents(checkpoint) for _, checkpoint in members]),
                [checkpoint["records"][0] for _, checkpoint in members],
                members[0][1]["threads"],
            ),
        )
        for members in found.values()
    ]


def _run_halves(plan: SweepPlan, number: int, part: Part, *, quiet: bool) -> int:
    """Make two groups of one that is too large, and run them one after the other."""
    size = len(plan.groups[number].folders)
    halves = [list(range(size // 2)), list(range(size // 2, size))]
    with changing_plan(plan.folder) as current:
        changed = current.split(number, halves)
        numbers = changed.groups[number].split_into
        if plan.checkpoint(number).is_file():
            _split_checkpoint(changed, number)
        changed.write()
    print(
        f"rnnbench: group {number} does not fit into memory with {len(part.rows)} replicas; "
        f"it goes on as the groups {' and '.join(map(str, numbers))} of half its size",
        file=sys.stderr,
        flush=True,
    )
    statuses = []
    for half in numbers:
        statuses.append(run_group(plan.folder, half, quiet=quiet))
        if statuses[-1] in EXIT_STATUS.values():
            break
    return max(statuses)


def _split_checkpoint(plan: SweepPlan, number: int) -> None:
    """Give each part of a group its own checkpoint."""
    checkpoint = read_checkpoint(plan.checkpoint(number))
    snapshot = Snapshot.from_contents(checkpoint)
    for part in plan.groups[number].split_into:
        mine = set(plan.groups[part].folders)
        places = [place for place, name in enumerate(checkpoint["jobs"]) if name in mine]
        own: Mapping[str, Any] = {
            **checkpoint,
            **snapshot.rows(places).contents(),
            "records": [checkpoint["records"][place] for place in places],
            "jobs": [checkpoint["jobs"][place] for place in places],
            "aggregate": None,
        }
        save_checkpoint(plan.checkpoint(part), dict(own))
