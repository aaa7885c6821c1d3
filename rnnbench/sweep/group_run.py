"""One group of a sweep: begun, gone on with, and run in halves where it does not fit into memory."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rnnbench.config.errors import ConfigError
from rnnbench.config.objects import to_dict
from rnnbench.config.stored import schema_names
from rnnbench.config.trust import Trusted, check_trusted
from rnnbench.exit_status import FAILED, OK, is_of_signal
from rnnbench.records import RecordError, read_summary, write_summary
from rnnbench.records.growing_file import failure
from rnnbench.records.live_aggregate import AggregatePlan
from rnnbench.records.lock import locked
from rnnbench.records.messages import say
from rnnbench.records.wording import count
from rnnbench.run.batched_run import BatchedRun, TooManyReplicasError
from rnnbench.run.checkpoint_reading import load_group
from rnnbench.run.job_folders import CHECKPOINT, Group, Job, progress_fields
from rnnbench.run.machine import NotEnoughMemoryError
from rnnbench.run.saved_run import last_update, repeated
from rnnbench.run.setup import set_up
from rnnbench.run.streams import LogFile
from rnnbench.sweep.left import Left, Part, cannot_go_on, left_of, restricted
from rnnbench.sweep.plan import SweepPlan, changing_plan, read_plan
from rnnbench.sweep.planning import aggregate_names
from rnnbench.training.checkpoint import previous_checkpoint, save_checkpoint
from rnnbench.training.replica import Snapshot


def run_one(folder: Path, number: int, trusted: Trusted, *, quiet: bool) -> int:
    """Run one group; an error that concerns it alone is said, and is its exit status."""
    try:
        return run_group(folder, number, trusted, quiet=quiet)
    except (ConfigError, RecordError) as error:
        say(f"group {number}: {error}")
        return FAILED


def run_group(folder: Path, number: int, trusted: Trusted, *, quiet: bool) -> int:
    """Run a group of a sweep from wherever it is, as sweep.json says.

    Args:
        folder: The sweep's folder.
        number: Of the group.
        trusted: The folders and modules whose classes may be imported.
        quiet: No progress on the terminal.

    Returns:
        The exit status: 0 ended as planned or was finished before, 1 a job failed, 128 + N ended by signal N.

    Raises:
        ConfigError: sweep.json or a checkpoint cannot be read, a class may not be imported, or a single job does not
            fit this machine.
        RecordError: Another process works on the group.
    """
    plan, status = read_plan(folder), OK
    jobs = plan.jobs(number)
    check_trusted(folder, [job.config for job in jobs], plan.groups[number].classes, trusted)
    trusted.add_to_path()
    log = plan.checkpoint(number).with_suffix(".log")
    with locked(plan.checkpoint(number).with_suffix(".lock"), f"group {number} of {folder}"), _logging_to(log):
        left = left_of(plan, number, jobs)
        for message in left.left_out.values():
            say(f"{message}; its job is left out")
            status = FAILED
        unable = [cannot_go_on(plan, number, jobs, part) for part in left.parts]
        if left.problem is not None and left.checkpoint is not None:
            say(_told_of_repetition(number, left, jobs))
            save_checkpoint(plan.checkpoint(number), left.checkpoint, keep_previous=False)
        for reasons in unable:
            for row, message in reasons.items():
                say(f"job {plan.groups[number].folders[row]} is left out: {message}")
                _set_aside(left, plan.groups[number].folders[row], jobs[row], message)
                status = FAILED
        for part, reasons in zip(left.parts, unable, strict=True):
            going_on = part.without(reasons)
            if not going_on.rows:
                continue
            ended = _run_part(plan, number, jobs, going_on, quiet=quiet)
            if ended is None:
                status = max(status, _run_halves(plan, number, going_on, trusted, quiet=quiet))
                break
            status = max(status, ended)
            if is_of_signal(status):
                break
    return status


def _told_of_repetition(number: int, left: Left, jobs: Sequence[Job]) -> str:
    """That a group goes on from the checkpoint before the latest one."""
    updates = left.checkpoint["update"] if left.checkpoint is not None else 0
    last = max((last_update(jobs[row].folder) or 0 for part in left.parts[:1] for row in part.rows), default=0)
    return f"{left.problem}; group {number} goes on from the checkpoint before it, {repeated(last, updates)}"


def _set_aside(left: Left, name: str, job: Job, message: str) -> None:
    """Note that a job cannot go on with its group, as far as its folder can be written.

    Where the group's checkpoint alone has its state, it gets a checkpoint of its own, from which it goes on once its
    records are in order. Its summary keeps its numbers.

    Args:
        left: What is left of the group.
        name: Of the job in the group's checkpoint.
        job: The job.
        message: Why it cannot go on.
    """
    numbers = {}
    if left.checkpoint is not None and name in left.checkpoint["jobs"]:
        contents = restricted(left.checkpoint, [left.checkpoint["jobs"].index(name)])
        numbers = progress_fields(Snapshot.from_contents(contents).replicas[0])
        own = {key: value for key, value in contents.items() if key not in ("jobs", "aggregate")}
        own |= {"status": "failed", "config": to_dict(job.config), "schema": schema_names(job.config)}
        with contextlib.suppress(RecordError):
            save_checkpoint(job.folder / CHECKPOINT, own)
    with contextlib.suppress(RecordError):
        summary = replace(read_summary(job.folder), **numbers, status="failed", message=message)
        write_summary(job.folder, summary)


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Keep what is logged, tracebacks included, in a file; the terminal belongs to the progress bar."""
    try:
        handler = LogFile(path)
    except OSError as error:
        raise failure(f"cannot write {path}", error) from error
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
        label=f"group {number}, {count(len(part.rows), 'replica')}",
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
        members = [jobs[row] for row in part.rows]
        setup = set_up([job.config for job in members])
        return BatchedRun(setup, members, quiet=quiet, start=part.start, group=group).run()
    except (TooManyReplicasError, NotEnoughMemoryError):
        if len(part.rows) == 1:
            raise
        return None  # the error, which holds on to what did not fit, is gone by the time that the halves begin


def _run_halves(plan: SweepPlan, number: int, part: Part, trusted: Trusted, *, quiet: bool) -> int:
    """Make two groups of one that is too large, and run them one after the other."""
    size = len(plan.groups[number].folders)
    halves = [list(range(size // 2)), list(range(size // 2, size))]
    with changing_plan(plan.folder) as current:
        changed = current.split(number, halves)
        numbers = changed.groups[number].split_into
        for half in numbers:
            for stale in (changed.checkpoint(half), previous_checkpoint(changed.checkpoint(half))):
                stale.unlink(missing_ok=True)  # of a process that was killed in this place
        if plan.checkpoint(number).is_file():
            _split_checkpoint(changed, number)
        changed.write()
    say(
        f"group {number} does not fit into memory with {len(part.rows)} replicas; "
        f"it goes on as the groups {' and '.join(map(str, numbers))} of half its size"
    )
    statuses = []
    for half in numbers:
        statuses.append(run_group(plan.folder, half, trusted, quiet=quiet))
        if is_of_signal(statuses[-1]):
            break
    return max(statuses)


def _split_checkpoint(plan: SweepPlan, number: int) -> None:
    """Give each part of a group its own checkpoint."""
    checkpoint = load_group(plan.checkpoint(number), plan.groups[number].folders)
    for part in plan.groups[number].split_into:
        mine = set(plan.groups[part].folders)
        places = [place for place, name in enumerate(checkpoint["jobs"]) if name in mine]
        save_checkpoint(plan.checkpoint(part), {**restricted(checkpoint, places), "aggregate": None})
