"""Saves the checkpoints and summaries of a batched run.

They are written on the records' thread, after all rows that were logged before; training does not wait.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from rnnbench.records import RecordError, Summary
from rnnbench.records.errors import MachineError
from rnnbench.records.summary import CHECKPOINT
from rnnbench.records.writer import Records
from rnnbench.run.job_folders import JobFolders, Lengths, SweepGroup
from rnnbench.training.checkpoint import save_checkpoint
from rnnbench.training.observation import Observer, OnDisk
from rnnbench.training.replica import Snapshot
from rnnbench.training.state import TrainingState

SECONDS_BETWEEN_GROUP_CHECKPOINTS = 10.0
"""The group's checkpoint is rewritten for ended replicas at most once within this time."""


class Checkpoints:
    """Saves the state of a batched run.

    Args:
        folders: Folders of the jobs.
        group: Properties of a batched run of a sweep; None: a single run, whose checkpoint is in its own folder.
        records: Open records of the run; folders that cannot be written are reported to it.
        observer: Queues the work on the records' thread.
    """

    def __init__(self, folders: JobFolders, group: SweepGroup | None, records: Records, observer: Observer) -> None:
        self._folders, self._group, self._records, self._observer = folders, group, records, observer
        self._group_is_due = 0.0

    def save_active(self, training: TrainingState) -> None:
        """Save the active replicas together."""
        self._folders.refresh(training.replicas)
        summaries, active = self._folders.summaries, list(training.active)
        snapshot = training.snapshot(active)
        if self._group is None:
            self._observer.checkpoint(partial(self._save_one, snapshot, active[0], summaries[active[0]]))
            return
        self._group_is_due = training.seconds + SECONDS_BETWEEN_GROUP_CHECKPOINTS
        of_active = {index: summaries[index] for index in active}
        self._observer.checkpoint(partial(self._save_group, self._group, snapshot, of_active))

    def save_ended(self, training: TrainingState, replicas: Sequence[int]) -> None:
        """Save replicas that have ended, each in its own folder; the group's checkpoint holds interrupted ones."""
        self._folders.refresh(training.replicas)
        for index in replicas:
            summary = self._folders.summaries[index]
            if summary.status == "failed":
                continue  # its folder cannot be written
            if self._group is not None and summary.status == "interrupted":
                self._observer.checkpoint(partial(self._write_summaries, {index: summary}))
            else:
                self._observer.checkpoint(partial(self._save_one, training.snapshot([index]), index, summary))
        if self._group is None or any(training.replicas[index].status == "interrupted" for index in replicas):
            return
        if not training.active or training.seconds >= self._group_is_due:
            self.save_active(training)

    # ------------------------------------------------------------ on the records' thread

    def _save_one(self, snapshot: Snapshot, index: int, summary: Summary, written: OnDisk) -> None:
        """Save one replica in its own folder."""
        folders = self._folders
        contents = {
            **self._contents(snapshot, [written.jobs[index]]),
            "status": summary.status,
            "config": folders.trees[index],
            "schema": folders.schemas[index],
            "classes": folders.facts["classes"],
        }
        with self._failing_alone(index):
            save_checkpoint(folders.jobs[index].folder / CHECKPOINT, contents)
            folders.write(index, summary, durable=True)

    def _save_group(
        self, group: SweepGroup, snapshot: Snapshot, summaries: Mapping[int, Summary], written: OnDisk
    ) -> None:
        """Save the replicas that are still trained, in one file."""
        contents = self._contents(snapshot, [written.jobs[index] for index in summaries])
        contents |= {"jobs": [group.names[index] for index in summaries], "aggregate": written.aggregate}
        save_checkpoint(group.checkpoint, contents)
        self._write_summaries(summaries, written)

    def _write_summaries(self, summaries: Mapping[int, Summary], written: OnDisk) -> None:
        """Write summaries of replicas whose state is in the group's checkpoint."""
        for index, summary in summaries.items():
            with self._failing_alone(index):
                self._folders.write(index, summary, durable=summary.status != "running")

    def _contents(self, snapshot: Snapshot, records: Sequence[Lengths]) -> dict[str, Any]:
        """Return the entries that both kinds of checkpoints have."""
        facts = self._folders.facts
        return {
            **snapshot.contents(),
            "records": list(records),
            "layout": self._folders.layout,
            "threads": facts["threads"],
            "recurrence": facts["recurrence"],
        }

    @contextlib.contextmanager
    def _failing_alone(self, index: int) -> Iterator[None]:
        """If a folder cannot be written, end only its own job, unless it is the only one."""
        try:
            yield
        except MachineError:
            raise
        except RecordError as error:
            if len(self._folders.jobs) == 1:
                raise
            self._records.fail(index, str(error))
