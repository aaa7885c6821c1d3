"""One group of a sweep: begun, gone on with, and run in halves where it does not fit into memory."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rnnbench.config.errors import ConfigError
from rnnbench.exit_status import FAILED, OK, is_of_signal
from rnnbench.keeping import CHECKPOINT, Group, Job
from rnnbench.machine import NotEnoughMemoryError
from rnnbench.records import is_run_folder
from rnnbench.records.live_aggregate import AggregatePlan
from rnnbench.records.lock import locked
from rnnbench.records.messages import say
from rnnbench.run import is_finished, read_checkpoint
from rnnbench.session import Session, Start, TooManyReplicasError, plan_of
from rnnbench.streams import LogFile
from rnnbench.sweep.plan import SweepPlan, changing_plan, read_plan
from rnnbench.sweep.planning import aggregate_names
from rnnbench.training.checkpoint import save_checkpoint
from rnnbench.training.replica import Snapshot


@dataclass(frozen=True)
class Part:
    """Jobs of a group that are trained together.

    Attributes:
        rows: Which of the group's jobs.
        start: Where they are; None: nowhere yet.
        aggregate: Lengths of the files of the group's aggregate at that moment; None: it goes on from their ends.
        restarts_aggregate: Whether the aggregate begins anew, since nothing is known of what it held.
    """

    rows: Sequence[int]
    start: Start | None
    aggregate: Sequence[Mapping[str, int]] | None = None
    restarts_aggregate: bool = False


def run_group(folder: Path, number: int, *, quiet: bool) -> int:
    """Run a group of a sweep from wherever it is, as sweep.json says.

    Args:
        folder: The sweep's folder.
        number: Of the group.
        quiet: No progress on the terminal.

    Returns:
        The exit status: 0 ended as planned or was finished before, 1 a job failed, 128 + N ended by signal N.

    Raises:
        ConfigError: sweep.json or a checkpoint cannot be read, or a single job does not fit this machine.
        RecordError: Another process works on the group.
    """
    plan, status = read_plan(folder), OK
    jobs = plan.jobs(number)
    log = plan.checkpoint(number).with_suffix(".log")
    with locked(plan.checkpoint(number).with_suffix(".lock"), f"group {number} of {folder}"), _logging_to(log):
        for job in jobs:
            if not job.folder.is_dir():
                say(f"{job.folder} is gone; its job is left out")
                status = FAILED
        for part in parts(plan, number, jobs):
            ended = _run_part(plan, number, jobs, part, quiet=quiet)
            if ended is None:
                status = max(status, _run_halves(plan, number, part, quiet=quiet))
                break
            status = max(status, ended)
            if is_of_signal(status):
                break
    return status


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Keep what is logged, tracebacks included, in a file; the terminal belongs to the progress bar."""
    handler = LogFile(path)
    handler.setFormatter(logging.Formatter("[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


def _run_part(plan: SweepPlan, number: int, jobs: Sequence[Job], part: Part, *, quiet: bool) -> int | None:
    """Train some of a group's jobs together; the exit status, None where they do not fit into memory."""
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
            restart=part.restarts_aggregate or part.start is None or part.start.lengths is None,
        ),
        shown_first=[override.partition("=")[0] for override in plan.overrides],
    )
    try:
        return Session([jobs[row] for row in part.rows], quiet=quiet, start=part.start, group=group).run()
    except (TooManyReplicasError, NotEnoughMemoryError):
        if len(part.rows) == 1:
            raise
        return None  # the error, which holds on to what did not fit, is gone by the time that the halves begin


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
    if "jobs" not in checkpoint or not set(checkpoint["jobs"]) <= set(names):
        raise ConfigError(f"{path} is not the checkpoint of group {number}")
    kept = [(place, row) for place, name in enumerate(checkpoint["jobs"]) if (row := names.index(name)) in rows]
    going_on = {row for _, row in kept}
    found = _with_larger_budget(jobs, [row for row in rows if row not in going_on])
    if kept:
        start = Start.of(
            checkpoint,
            Snapshot.from_contents(checkpoint).rows([place for place, _ in kept]),
            [checkpoint["records"][place] for place, _ in kept],
        )
        found.insert(0, Part([row for _, row in kept], start))
    # Rows that a killed process added later are repeated by whichever part comes first; a half of a group that had to
    # be split begins its aggregate anew.
    lengths = checkpoint["aggregate"]
    first = [replace(part, aggregate=lengths, restarts_aggregate=lengths is None) for part in found[:1]]
    return first + found[1:]


def _with_larger_budget(jobs: Sequence[Job], rows: Sequence[int]) -> list[Part]:
    """The jobs that ended because their budget was used up, and have a larger one by now."""
    found: dict[tuple[int, int], list[tuple[int, dict[str, Any]]]] = {}
    for row in rows:
        config, path = jobs[row].config, jobs[row].folder / CHECKPOINT
        if not path.is_file():
            continue  # it failed before it had ended
        checkpoint = read_checkpoint(path)
        # Not its summary: that of a process which was killed early says that nothing is done.
        replica = Snapshot.from_contents(checkpoint).replicas[0]
        is_used_up = plan_of(config).used_up(replica.updates, replica.sequences, replica.seconds) is not None
        if not is_used_up and not is_finished(checkpoint["status"], config):
            found.setdefault((checkpoint["update"], checkpoint["num_logged"]), []).append((row, checkpoint))
    return [
        Part(
            [row for row, _ in members],
            Start.of(
                members[0][1],
                Snapshot.join([Snapshot.from_contents(checkpoint) for _, checkpoint in members]),
                [checkpoint["records"][0] for _, checkpoint in members],
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
        for half in numbers:
            changed.checkpoint(half).unlink(missing_ok=True)  # of a process that was killed in this place
        if plan.checkpoint(number).is_file():
            _split_checkpoint(changed, number)
        changed.write()
    say(
        f"group {number} does not fit into memory with {len(part.rows)} replicas; "
        f"it goes on as the groups {' and '.join(map(str, numbers))} of half its size"
    )
    statuses = []
    for half in numbers:
        statuses.append(run_group(plan.folder, half, quiet=quiet))
        if is_of_signal(statuses[-1]):
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
