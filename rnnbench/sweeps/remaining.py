"""Finds the remaining work of a group of a sweep, without writing anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rnnbench.records import RecordError, is_run_folder
from rnnbench.records.continuing import Lengths, ShortRecordsError, check_continued, covered_lengths
from rnnbench.records.summary import CHECKPOINT
from rnnbench.run.checkpoint_reading import Contents, Form, load_group, load_job, load_latest
from rnnbench.run.job_folders import Job
from rnnbench.run.resume_point import ResumePoint
from rnnbench.run.saved_run import is_finished, used_up, with_remedy
from rnnbench.run.setup import set_up
from rnnbench.sweeps.plan import SweepPlan
from rnnbench.training.checkpoint import previous_checkpoint, save_checkpoint
from rnnbench.training.replica import Snapshot


@dataclass(frozen=True)
class Part:
    """Jobs of a group that are trained together.

    Attributes:
        rows: Indices of the jobs in the group.
        start: Point from which the jobs are resumed; None: they have not started.
        aggregate: Lengths of the files of the group's aggregate at that point; None: append to the files as they are.
        restarts_aggregate: Whether the aggregate starts again because its earlier contents are unknown.
    """

    rows: Sequence[int]
    start: ResumePoint | None
    aggregate: Sequence[Lengths] | None = None
    restarts_aggregate: bool = False

    @property
    def is_new(self) -> bool:
        """Whether the jobs make their initial parameters."""
        return self.start is None or self.start.snapshot is None

    def without(self, rows: Mapping[int, object]) -> "Part":
        """The part without the given jobs."""
        places = [place for place, row in enumerate(self.rows) if row not in rows]
        start = self.start
        if start is not None and start.snapshot is not None and start.lengths is not None:
            lengths = [start.lengths[place] for place in places]
            start = replace(start, snapshot=start.snapshot.rows(places), lengths=lengths)
        return replace(self, rows=[self.rows[place] for place in places], start=start)


@dataclass(frozen=True)
class Remaining:
    """The remaining work of a group.

    Attributes:
        parts: Jobs to start or resume.
        skipped: Index of each unfinished job that cannot be resumed -> reason.
        checkpoint: Checkpoint of the group with the jobs to resume from it; None: there is none.
        problem: Why the checkpoint is not the latest one; None: it is the latest.
    """

    parts: Sequence[Part]
    skipped: Mapping[int, str]
    checkpoint: Contents | None = None
    problem: str | None = None


def remaining_of(plan: SweepPlan, number: int, jobs: Sequence[Job]) -> Remaining:
    """The remaining work of a group: the jobs in its checkpoint, and finished jobs whose budget was increased.

    Jobs with the same number of updates are resumed together. If they were trained together before, their numbers are
    bit for bit those of a sweep that was not interrupted.

    Args:
        plan: Plan of the sweep.
        number: Number of the group.
        jobs: Jobs of the group.

    Raises:
        RecordError: Neither the checkpoint of the group nor the one before it can be read.
    """
    rows = [row for row, job in enumerate(jobs) if job.folder.is_dir()]
    skipped = {row: f"{job.folder} is missing" for row, job in enumerate(jobs) if row not in rows}
    path, names = plan.checkpoint(number), plan.groups[number].folders
    if not path.exists() and not previous_checkpoint(path).exists():
        ended = [row for row in rows if _has_checkpoint(jobs[row])]
        begun = any(is_run_folder(jobs[row].folder) for row in rows)
        new = [row for row in rows if row not in ended]
        parts = [Part(new, ResumePoint(None, None, None) if begun else None)] if new else []
        return Remaining([*parts, *_with_larger_budget(jobs, ended, skipped)], skipped)
    contents, problem = load_latest(path, partial(load_group, names=names))
    kept = [(place, row) for place, name in enumerate(contents["jobs"]) if (row := names.index(name)) in rows]
    if problem is not None:  # jobs may have ended or been resumed alone since then
        kept = [(place, row) for place, row in kept if not _has_gone_further(jobs[row], contents["update"])]
    checkpoint = select_jobs(contents, [place for place, _ in kept])
    resumed = [row for _, row in kept]
    parts = _with_larger_budget(jobs, [row for row in rows if row not in resumed], skipped)
    if kept:
        start = ResumePoint.of(checkpoint, Snapshot.from_contents(checkpoint), checkpoint["records"])
        parts.insert(0, Part(resumed, start))
    # Rows that a killed process added later are repeated by the first part. After a split, each half starts its
    # aggregate again.
    lengths = contents["aggregate"]
    parts[:1] = [replace(part, aggregate=lengths, restarts_aggregate=lengths is None) for part in parts[:1]]
    return Remaining(parts, skipped, checkpoint, problem)


def select_jobs(contents: Contents, places: Sequence[int]) -> Contents:
    """Restrict the checkpoint of a group to some of its jobs."""
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
    """Whether the job's own checkpoint is later than an update."""
    try:
        return bool(load_job(job.folder / CHECKPOINT)["update"] > update)
    except RecordError:
        return False


def _with_larger_budget(jobs: Sequence[Job], rows: Sequence[int], skipped: dict[int, str]) -> list[Part]:
    """The jobs that used up their budget and now have a larger one.

    Args:
        jobs: Jobs of the group.
        rows: Indices of the jobs that may have ended.
        skipped: Jobs whose checkpoint cannot be read are added to this dictionary.
    """
    by_progress: dict[Any, list[tuple[int, Contents]]] = {}
    for row in rows:
        config = jobs[row].config
        if not _has_checkpoint(jobs[row]):
            continue  # it failed before its end
        try:
            contents, _ = load_latest(jobs[row].folder / CHECKPOINT, load_job)
        except RecordError as error:
            skipped[row] = str(error)
            continue
        # The checkpoint is used, since the summary of a process that was killed early may be out of date.
        snapshot = Snapshot.from_contents(contents)
        if used_up(snapshot, config) is None and not is_finished(contents["status"], config):
            progress = (snapshot.update, snapshot.num_logged, snapshot.form())
            by_progress.setdefault(progress, []).append((row, contents))
    return [
        Part(
            [row for row, _ in members],
            ResumePoint.of(
                members[0][1],
                Snapshot.join([Snapshot.from_contents(contents) for _, contents in members]),
                [contents["records"][0] for _, contents in members],
            ),
        )
        for members in by_progress.values()
    ]


# ---------------------------------------------------------------- records


def unresumable_jobs(plan: SweepPlan, number: int, jobs: Sequence[Job], part: Part) -> dict[int, str]:
    """The jobs of a part that cannot be resumed, because their records or their checkpoint do not match.

    Args:
        plan: Plan of the sweep.
        number: Number of the group.
        jobs: Jobs of the group.
        part: Part of the group.

    Returns:
        Index of each such job -> reason.
    """
    start = part.start
    if start is None or start.snapshot is None or start.lengths is None:
        return {}
    form, reasons = Form.of(set_up([jobs[part.rows[0]].config], starts=False)), {}
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
    """Adapt the checkpoints of a group's jobs to their records, where some records are lost.

    Args:
        plan: Plan of the sweep.
        number: Number of the group.
        jobs: Jobs of the group.

    Raises:
        RecordError: A checkpoint cannot be read or written.
    """
    group = remaining_of(plan, number, jobs).checkpoint
    header = Form.of(set_up([jobs[0].config], starts=False)).header
    if group is not None:
        folders = [plan.folder / name for name in group["jobs"]]
        _accept_gaps(plan.checkpoint(number), group, folders, header)
    for name, job in zip(plan.groups[number].folders, jobs, strict=True):
        if (group is None or name not in group["jobs"]) and _has_checkpoint(job):
            try:
                contents, _ = load_latest(job.folder / CHECKPOINT, load_job)
            except RecordError:
                continue  # reported when the group is resumed
            _accept_gaps(job.folder / CHECKPOINT, contents, [job.folder], header)


def _accept_gaps(path: Path, contents: Contents, folders: Sequence[Path], header: bytes) -> None:
    """Rewrite a checkpoint if it counts more records than there are."""
    records = []
    for folder, lengths in zip(folders, contents["records"], strict=True):
        try:
            records.append(covered_lengths(folder, header, lengths))
        except RecordError:
            records.append(lengths)
    if records != contents["records"]:
        save_checkpoint(path, {**contents, "records": records}, keep_previous=False)
