"""What is left to do of a group of a sweep, found without writing anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rnnbench.records import RecordError, is_run_folder
from rnnbench.records.continuing import Lengths, ShortRecordsError, check_continued, covered_lengths
from rnnbench.run.checkpoint_reading import Contents, Form, load_group, load_job, load_latest
from rnnbench.run.job_folders import CHECKPOINT, Job
from rnnbench.run.resume_point import ResumePoint
from rnnbench.run.saved_run import is_finished, with_remedy
from rnnbench.run.schedule import training_plan
from rnnbench.run.setup import set_up
from rnnbench.sweep.plan import SweepPlan
from rnnbench.training.checkpoint import previous_checkpoint, save_checkpoint
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
    start: ResumePoint | None
    aggregate: Sequence[Lengths] | None = None
    restarts_aggregate: bool = False

    def without(self, rows: Mapping[int, object]) -> "Part":
        """The part without some of its jobs."""
        places = [place for place, row in enumerate(self.rows) if row not in rows]
        start = self.start
        if start is not None and start.snapshot is not None and start.lengths is not None:
            lengths = [start.lengths[place] for place in places]
            start = replace(start, snapshot=start.snapshot.rows(places), lengths=lengths)
        return replace(self, rows=[self.rows[place] for place in places], start=start)


@dataclass(frozen=True)
class Left:
    """What is left to do of a group.

    Attributes:
        parts: Jobs that go on, or begin.
        left_out: The other jobs that are not known to have ended -> why they cannot go on.
        checkpoint: The checkpoint of the group, with the jobs that go on from it; None: there is none.
        problem: Why it is the checkpoint before the latest one; None: it is the latest one.
    """

    parts: Sequence[Part]
    left_out: Mapping[int, str]
    checkpoint: Contents | None = None
    problem: str | None = None


def left_of(plan: SweepPlan, number: int, jobs: Sequence[Job]) -> Left:
    """What is left to do of a group: the jobs of its checkpoint, and those whose budget has become larger.

    Jobs that have done the same number of updates go on together. Where they stood side by side before, their numbers
    are bit for bit those that they would have had without the stop.

    Args:
        plan: Of the sweep.
        number: Of the group.
        jobs: Of the group.

    Raises:
        RecordError: The checkpoint of the group cannot be read, nor can the one before it.
    """
    rows = [row for row, job in enumerate(jobs) if job.folder.is_dir()]
    left_out = {row: f"{job.folder} is gone" for row, job in enumerate(jobs) if row not in rows}
    path, names = plan.checkpoint(number), plan.groups[number].folders
    if not path.exists() and not previous_checkpoint(path).exists():
        ended = [row for row in rows if _has_checkpoint(jobs[row])]
        begun = any(is_run_folder(jobs[row].folder) for row in rows)
        new = [row for row in rows if row not in ended]
        parts = [Part(new, ResumePoint(None, None, None) if begun else None)] if new else []
        return Left([*parts, *_with_larger_budget(jobs, ended, left_out)], left_out)
    contents, problem = load_latest(path, partial(load_group, names=names))
    kept = [(place, row) for place, name in enumerate(contents["jobs"]) if (row := names.index(name)) in rows]
    if problem is not None:  # since then jobs may have ended, or have gone on by themselves
        kept = [(place, row) for place, row in kept if not _has_gone_further(jobs[row], contents["update"])]
    checkpoint = restricted(contents, [place for place, _ in kept])
    going_on = [row for _, row in kept]
    parts = _with_larger_budget(jobs, [row for row in rows if row not in going_on], left_out)
    if kept:
        start = ResumePoint.of(checkpoint, Snapshot.from_contents(checkpoint), checkpoint["records"])
        parts.insert(0, Part(going_on, start))
    # Rows that a killed process added later are repeated by whichever part comes first; a half of a group that had to
    # be split begins its aggregate anew.
    lengths = contents["aggregate"]
    parts[:1] = [replace(part, aggregate=lengths, restarts_aggregate=lengths is None) for part in parts[:1]]
    return Left(parts, left_out, checkpoint, problem)


def restricted(contents: Contents, places: Sequence[int]) -> Contents:
    """The checkpoint of a group with some of its jobs alone."""
    return {
        **contents,
        **Snapshot.from_contents(contents).rows(places).contents(),
        "records": [contents["records"][place] for place in places],
        "jobs": [contents["jobs"][place] for place in places],
    }


def _has_checkpoint(job: Job) -> bool:
    path = job.folder / CHECKPOINT
    return path.exists() or previous_checkpoint(path).exists()


def _has_gone_further(job: Job, update: int) -> bool:
    """Whether a job has a checkpoint of its own that is later."""
    try:
        return bool(load_job(job.folder / CHECKPOINT)["update"] > update)
    except RecordError:
        return False


def _with_larger_budget(jobs: Sequence[Job], rows: Sequence[int], left_out: dict[int, str]) -> list[Part]:
    """The jobs that ended because their budget was used up, and have a larger one by now.

    Args:
        jobs: Of the group.
        rows: Those that may have ended.
        left_out: Gets those whose checkpoint cannot be read.
    """
    found: dict[Any, list[tuple[int, Contents]]] = {}
    for row in rows:
        config = jobs[row].config
        if not _has_checkpoint(jobs[row]):
            continue  # it failed before it had ended
        try:
            contents, _ = load_latest(jobs[row].folder / CHECKPOINT, load_job)
        except RecordError as error:
            left_out[row] = str(error)
            continue
        # Not its summary: that of a process which was killed early says that nothing is done.
        snapshot = Snapshot.from_contents(contents)
        replica = snapshot.replicas[0]
        is_used_up = training_plan(config).used_up(replica.updates, replica.sequences, replica.seconds) is not None
        if not is_used_up and not is_finished(contents["status"], config):
            alike = (snapshot.update, snapshot.num_logged, snapshot.form())
            found.setdefault(alike, []).append((row, contents))
    return [
        Part(
            [row for row, _ in members],
            ResumePoint.of(
                members[0][1],
                Snapshot.join([Snapshot.from_contents(contents) for _, contents in members]),
                [contents["records"][0] for _, contents in members],
            ),
        )
        for members in found.values()
    ]


# ---------------------------------------------------------------- records


def cannot_go_on(plan: SweepPlan, number: int, jobs: Sequence[Job], part: Part) -> dict[int, str]:
    """Which jobs of a part cannot go on with their records, or have a checkpoint that is not theirs.

    Args:
        plan: Of the sweep.
        number: Of the group.
        jobs: Of the group.
        part: Some of them.

    Returns:
        Row of such a job -> why.
    """
    start = part.start
    if start is None or start.snapshot is None or start.lengths is None:
        return {}
    form, reasons = Form.of(set_up([jobs[part.rows[0]].config])), {}
    for place, (row, lengths) in enumerate(zip(part.rows, start.lengths, strict=True)):
        try:
            form.check(plan.checkpoint(number), start.snapshot.rows([place]))
            check_continued(jobs[row].folder, form.header, lengths)
        except ShortRecordsError as error:
            reasons[row] = with_remedy(error, plan.folder)
        except RecordError as error:
            reasons[row] = str(error)
    return reasons


def accept_gaps(plan: SweepPlan, number: int, jobs: Sequence[Job]) -> None:
    """Let the checkpoints of a group's jobs count what is left of their records, where some are lost.

    Args:
        plan: Of the sweep.
        number: Of the group.
        jobs: Of the group.

    Raises:
        RecordError: A checkpoint cannot be read or written.
    """
    group, header = left_of(plan, number, jobs).checkpoint, Form.of(set_up([jobs[0].config])).header
    if group is not None:
        folders = [plan.folder / name for name in group["jobs"]]
        _accept_gaps(plan.checkpoint(number), group, folders, header)
    for name, job in zip(plan.groups[number].folders, jobs, strict=True):
        if (group is None or name not in group["jobs"]) and _has_checkpoint(job):
            try:
                contents, _ = load_latest(job.folder / CHECKPOINT, load_job)
            except RecordError:
                continue  # whoever goes on with the group tells of it
            _accept_gaps(job.folder / CHECKPOINT, contents, [job.folder], header)


def _accept_gaps(path: Path, contents: Contents, folders: Sequence[Path], header: bytes) -> None:
    """Write a checkpoint anew where it counts more than there is."""
    records = []
    for folder, lengths in zip(folders, contents["records"], strict=True):
        try:
            records.append(covered_lengths(folder, header, lengths))
        except RecordError:
            records.append(lengths)
    if records != contents["records"]:
        save_checkpoint(path, {**contents, "records": records}, keep_previous=False)
