"""Runs or resumes one group of a sweep, and splits it if it does not fit into memory."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rnnbench.config.errors import ConfigError
from rnnbench.config.objects import to_dict
from rnnbench.config.stored import schema_names
from rnnbench.config.trust import Trusted, check_trusted
from rnnbench.exit_status import FAILED, OK, is_of_signal
from rnnbench.records import RecordError, read_summary, write_summary
from rnnbench.records.live_aggregate import AggregatePlan
from rnnbench.records.lock import locked
from rnnbench.records.messages import say
from rnnbench.records.summary import CHECKPOINT
from rnnbench.records.wording import count
from rnnbench.run.batched_run import BatchedRun, TooManyReplicasError
from rnnbench.run.checkpoint_reading import load_group
from rnnbench.run.job_folders import Job, SweepGroup, progress_fields
from rnnbench.run.log import logging_to
from rnnbench.run.machine import NotEnoughMemoryError
from rnnbench.run.saved_run import last_update, repeated
from rnnbench.run.setup import RunSetup, set_up
from rnnbench.sweeps.plan import SweepPlan, changing_plan, read_plan
from rnnbench.sweeps.planning import aggregate_names
from rnnbench.sweeps.remaining import Part, Remaining, remaining_of, select_jobs, unresumable_jobs
from rnnbench.sweeps.trials import trials_of
from rnnbench.training.checkpoint import previous_checkpoint, save_checkpoint
from rnnbench.training.replica import Snapshot


def run_group_or_report(
    folder: Path, number: int, trusted: Trusted, *, quiet: bool, setup: RunSetup | None = None
) -> int:
    """Run one group as `run_group` does; an error is reported on stderr and returned as the exit status."""
    try:
        return run_group(folder, number, trusted, quiet=quiet, setup=setup)
    except (ConfigError, RecordError) as error:
        say(f"group {number}: {error}")
        return FAILED


def run_group(folder: Path, number: int, trusted: Trusted, *, quiet: bool, setup: RunSetup | None = None) -> int:
    """Start or resume a group of a sweep, as planned in sweep.json.

    Args:
        folder: Folder of the sweep.
        number: Number of the group.
        trusted: Folders and modules whose classes may be imported.
        quiet: Whether to hide progress.
        setup: Objects of all jobs of the group, if this process has built them; None: they are built here.

    Returns:
        The exit status: 0 ended as planned or already finished, 1 a job failed, 128 + N ended by signal N.

    Raises:
        ConfigError: sweep.json or a checkpoint cannot be read, a class may not be imported, or a single job does not
            fit this machine.
        RecordError: Another process has locked the group.
    """
    plan, status = read_plan(folder), OK
    jobs = plan.jobs(number)
    trusted.add_to_path()  # where the classes are looked for; nothing is imported yet
    check_trusted(folder, [job.config for job in jobs], plan.groups[number].classes, trusted)
    log = plan.checkpoint(number).with_suffix(".log")
    with locked(plan.checkpoint(number).with_suffix(".lock"), f"group {number} of {folder}"), logging_to(log):
        remaining = remaining_of(plan, number, jobs)
        for message in remaining.skipped.values():
            say(f"{message}; its job is skipped")
            status = FAILED
        unresumable = [unresumable_jobs(plan, number, jobs, part) for part in remaining.parts]
        if remaining.problem is not None and remaining.checkpoint is not None:
            say(_repetition_message(number, remaining, jobs))
            save_checkpoint(plan.checkpoint(number), remaining.checkpoint, keep_previous=False)
        for reasons in unresumable:
            for row, message in reasons.items():
                say(f"job {plan.groups[number].folders[row]} is skipped: {message}")
                _record_failure(remaining, plan.groups[number].folders[row], jobs[row], message)
                status = FAILED
        for part, reasons in zip(remaining.parts, unresumable, strict=True):
            resumed = part.without(reasons)
            if not resumed.rows:
                continue
            own = setup if len(resumed.rows) == len(jobs) else None
            ended = _run_part(plan, number, jobs, resumed, own, quiet=quiet)
            if ended is None:
                status = max(status, _run_halves(plan, number, resumed, trusted, quiet=quiet))
                break
            status = max(status, ended)
            if is_of_signal(status) or (plan.settings.fail_fast and ended == FAILED):
                break
    return status


def _repetition_message(number: int, remaining: Remaining, jobs: Sequence[Job]) -> str:
    """The message that a group resumes from the checkpoint before the latest one."""
    updates = remaining.checkpoint["update"] if remaining.checkpoint is not None else 0
    last = max((last_update(jobs[row].folder) or 0 for part in remaining.parts[:1] for row in part.rows), default=0)
    return f"{remaining.problem}; group {number} resumes from the checkpoint before it, {repeated(last, updates)}"


def _record_failure(remaining: Remaining, name: str, job: Job, message: str) -> None:
    """Record that a job cannot be resumed with its group, if its folder can be written.

    If only the group's checkpoint has the state of the job, the job gets its own checkpoint. It can be resumed from
    that once its records are repaired. Its summary keeps its numbers.

    Args:
        remaining: Remaining work of the group.
        name: Name of the job in the group's checkpoint.
        job: Job.
        message: Why it cannot be resumed.
    """
    numbers = {}
    if remaining.checkpoint is not None and name in remaining.checkpoint["jobs"]:
        contents = select_jobs(remaining.checkpoint, [remaining.checkpoint["jobs"].index(name)])
        numbers = progress_fields(Snapshot.from_contents(contents).replicas[0])
        own = {key: value for key, value in contents.items() if key not in ("jobs", "aggregate")}
        own |= {"status": "failed", "config": to_dict(job.config), "schema": schema_names(job.config)}
        with contextlib.suppress(RecordError):
            save_checkpoint(job.folder / CHECKPOINT, own)
    with contextlib.suppress(RecordError):
        summary = replace(read_summary(job.folder), **numbers, status="failed", message=message)
        write_summary(job.folder, summary)


def _run_part(
    plan: SweepPlan, number: int, jobs: Sequence[Job], part: Part, setup: RunSetup | None, *, quiet: bool
) -> int | None:
    """Train some jobs of a group together; returns the exit status, or None if they do not fit into memory."""
    planned, trials = plan.groups[number], trials_of(plan, number)
    group = SweepGroup(
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
        trials=[trials[row] for row in part.rows],
        fail_fast=plan.settings.fail_fast,
    )
    try:
        members = [jobs[row] for row in part.rows]
        if setup is None:
            setup = set_up([job.config for job in members], starts=part.is_new)
        else:
            setup = setup.fitted(len(members))
        return BatchedRun(setup, members, quiet=quiet, start=part.start, group=group).run()
    except (TooManyReplicasError, NotEnoughMemoryError):
        if len(part.rows) == 1:
            raise
        return None  # free the error, and the memory it refers to, before the halves start


def _run_halves(plan: SweepPlan, number: int, part: Part, trusted: Trusted, *, quiet: bool) -> int:
    """Split a group that is too large into two groups, and run them one after another."""
    size = len(plan.groups[number].folders)
    halves = [list(range(size // 2)), list(range(size // 2, size))]
    with changing_plan(plan.folder) as current:
        changed = split_group(current, number, halves)
        numbers = changed.groups[number].split_into
        changed.write()
    say(
        f"group {number} does not fit into memory with {len(part.rows)} replicas; "
        f"it is split into groups {' and '.join(map(str, numbers))}"
    )
    statuses = []
    for half in numbers:
        statuses.append(run_group(plan.folder, half, trusted, quiet=quiet))
        if is_of_signal(statuses[-1]) or (plan.settings.fail_fast and statuses[-1] == FAILED):
            break
    return max(statuses)


def split_group(plan: SweepPlan, number: int, parts: Sequence[Sequence[int]]) -> SweepPlan:
    """Split a group, with its checkpoint; returns the plan, which is not written.

    Args:
        plan: Plan of the sweep.
        number: Number of the group.
        parts: Indices of the jobs of each part.

    Raises:
        RecordError: The checkpoint cannot be read or written.
    """
    changed = plan.split(number, parts)
    for part in changed.groups[number].split_into:
        for stale in (changed.checkpoint(part), previous_checkpoint(changed.checkpoint(part))):
            stale.unlink(missing_ok=True)  # from a process that was killed during this split
    if plan.checkpoint(number).is_file():
        _split_checkpoint(changed, number)
    return changed


def _split_checkpoint(plan: SweepPlan, number: int) -> None:
    """Write a checkpoint for each part of a split group."""
    checkpoint = load_group(plan.checkpoint(number), plan.groups[number].folders)
    for part in plan.groups[number].split_into:
        mine = set(plan.groups[part].folders)
        places = [place for place, name in enumerate(checkpoint["jobs"]) if name in mine]
        save_checkpoint(plan.checkpoint(part), {**select_jobs(checkpoint, places), "aggregate": None})
