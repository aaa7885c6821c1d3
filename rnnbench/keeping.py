"""What a batched run leaves in the folders of its jobs: summaries and checkpoints.

A checkpoint is made on the records' thread, when every row that was logged before it is on disk; the training goes on
meanwhile.
"""

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rnnbench.config.objects import to_dict
from rnnbench.config.schema import Config
from rnnbench.config.stored import schema_names
from rnnbench.records import RecordError, Summary, write_summary
from rnnbench.records.errors import MachineError
from rnnbench.records.live_aggregate import AggregatePlan
from rnnbench.records.messages import say
from rnnbench.records.writer import Records
from rnnbench.training.checkpoint import save_checkpoint
from rnnbench.training.observation import OnDisk
from rnnbench.training.replica import Replica, Snapshot

CHECKPOINT = "checkpoint.pt"

logger = logging.getLogger(__name__)
Lengths = Mapping[str, int]


@dataclass(frozen=True)
class Job:
    """One run to be made: a configuration and an existing folder of its own."""

    config: Config
    folder: Path


@dataclass(frozen=True)
class Group:
    """What a batched run of a sweep has beside its jobs.

    Attributes:
        checkpoint: The file that keeps the jobs that are still trained.
        names: Of each job in it.
        label: How the terminal calls the run.
        aggregate: What its aggregate is made of.
        shown_first: Keys, or groups, of the configuration that TensorBoard's table of runs begins with.
    """

    checkpoint: Path
    names: Sequence[str]
    label: str
    aggregate: AggregatePlan
    shown_first: Sequence[str] = ()


class Keeper:
    """Keeps the folders of a batched run's jobs up to date.

    Attributes:
        jobs: Its jobs.
        group: What it has beside them; None: it is a run alone.
        trees: The configuration of each job.
        summaries: Of each job, as it stands.
        records: Told of folders that cannot be written.
    """

    def __init__(
        self, jobs: Sequence[Job], group: Group | None, facts: Mapping[str, Any], layout: Mapping[str, Sequence[int]]
    ) -> None:
        """Nothing is written.

        Args:
            jobs: Its jobs.
            group: What it has beside them.
            facts: Fields of a summary that stay the same.
            layout: Shape of each parameter.
        """
        self.jobs, self.group, self.facts = jobs, group, facts
        self.layout = {name: list(shape) for name, shape in layout.items()}
        self.trees = [to_dict(job.config) for job in jobs]
        self.schemas = [schema_names(job.config) for job in jobs]
        self.summaries: list[Summary] = []
        self.refresh([Replica() for _ in jobs])
        self._settled: set[int] = set()  # jobs whose ending is on disk
        self._unwritable: dict[int, str] = {}
        self.records: Records

    def begin(self) -> None:
        """Write the summaries of runs that are about to begin."""
        for index, (job, summary) in enumerate(zip(self.jobs, self.summaries, strict=True)):
            try:
                write_summary(job.folder, summary)
            except RecordError as error:
                if len(self.jobs) == 1 or isinstance(error, MachineError):
                    raise
                self._unwritable[index] = str(error)

    def begin_records(self, records: Records) -> None:
        """Take over the open records; a folder that could not be written is given up alone."""
        self.records = records
        for index, message in self._unwritable.items():
            records.fail(index, message)

    def refresh(self, replicas: Sequence[Replica]) -> None:
        """Bring the summaries up to date with the training, in memory."""
        self.summaries = [
            Summary(
                status=replica.status,
                message=replica.message,
                **standing(replica),
                config=self.trees[index],
                schema=self.schemas[index],
                **self.facts,
            )
            for index, replica in enumerate(replicas)
        ]

    def _contents(self, snapshot: Snapshot, records: Sequence[Lengths]) -> dict[str, Any]:
        """What both kinds of checkpoint hold."""
        return {
            **snapshot.contents(),
            "records": list(records),
            "layout": self.layout,
            "threads": self.facts["threads"],
            "recurrence": self.facts["recurrence"],
        }

    def save_alone(self, snapshot: Snapshot, index: int, summary: Summary, written: OnDisk) -> None:
        """On the records' thread: save one replica in its own folder."""
        job = self.jobs[index]
        with self._alone_where_others_are(index):
            save_checkpoint(
                job.folder / CHECKPOINT,
                {
                    **self._contents(snapshot, [written.jobs[index]]),
                    "status": summary.status,
                    "config": self.trees[index],
                    "schema": self.schemas[index],
                    "classes": self.facts["classes"],
                },
            )
            self._write_summary(index, summary, durable=True)

    def save_group(self, group: Group, snapshot: Snapshot, summaries: Mapping[int, Summary], written: OnDisk) -> None:
        """On the records' thread: save the replicas that go on together, in one file."""
        contents = self._contents(snapshot, [written.jobs[index] for index in summaries])
        contents |= {"jobs": [group.names[index] for index in summaries], "aggregate": written.aggregate}
        save_checkpoint(group.checkpoint, contents)
        self.summarize(summaries, written)

    def summarize(self, summaries: Mapping[int, Summary], written: OnDisk) -> None:
        """On the records' thread: write summaries of replicas that could go on."""
        for index, summary in summaries.items():
            with self._alone_where_others_are(index):
                self._write_summary(index, summary, durable=summary.status != "running")

    def _write_summary(self, index: int, summary: Summary, *, durable: bool) -> None:
        """On the records' thread: write how a job stands; an ending, once it is there, holds whatever comes after."""
        write_summary(self.jobs[index].folder, summary, durable=durable)
        if summary.status != "running":
            self._settled.add(index)

    @contextlib.contextmanager
    def _alone_where_others_are(self, index: int) -> Iterator[None]:
        """A folder that is gone ends its own job, not those beside it."""
        try:
            yield
        except MachineError:
            raise
        except RecordError as error:
            if len(self.jobs) == 1:
                raise
            self.records.fail(index, str(error))

    def take_over_broken(self) -> None:
        """Note which replicas' records could not be written, once they are closed; and in those folders that are there.

        Those that the training was told of have noted it themselves, in memory.
        """
        for index, message in self.records.broken().items():
            self.summaries[index] = replace(self.summaries[index], status="failed", message=message)
        for job, summary in zip(self.jobs, self.summaries, strict=True):
            if summary.status == "failed":
                with contextlib.suppress(RecordError):
                    write_summary(job.folder, summary)

    def fail(self, message: str, error: BaseException) -> None:
        """Say what went wrong, and leave it in the summaries of jobs whose ending is not on disk, where possible."""
        logger.error(message, exc_info=error)
        say(message)
        for index, summary in enumerate(self.summaries):
            if index not in self._settled:
                self.summaries[index] = replace(summary, status="failed", message=message)
        second: RecordError | None = None
        for job, summary in zip(self.jobs, self.summaries, strict=True):
            try:
                write_summary(job.folder, summary)
            except RecordError as failure:
                second = failure
        if second is not None:
            say(str(second))


def standing(replica: Replica) -> dict[str, Any]:
    """The fields of a summary that tell how far a replica has come."""
    return {
        "solved": replica.solved_at is not None,
        "solved_at": replica.solved_at,
        "loss": replica.loss,
        "error_rate": replica.error_rate,
        "updates": replica.updates,
        "sequences": round(replica.sequences),
        "products": round(replica.products),
        "seconds": replica.seconds,
    }
