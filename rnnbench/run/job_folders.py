"""The folders of a batched run's jobs and the summaries in them."""

import contextlib
import logging
from collections.abc import Mapping, Sequence
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
from rnnbench.run.hyperparameters import Trial
from rnnbench.training.replica import Replica

logger = logging.getLogger(__name__)
Lengths = Mapping[str, int]


@dataclass(frozen=True)
class Job:
    """A run's configuration and its existing folder."""

    config: Config
    folder: Path


@dataclass(frozen=True)
class SweepGroup:
    """Properties of a batched run of a sweep, besides its jobs.

    Attributes:
        checkpoint: Path of the file with the state of the jobs that are still trained.
        names: Name of each job in this file.
        label: Name of the batched run on the terminal.
        aggregate: Plan of the group's live aggregate.
        trials: Row of each job in TensorBoard's table of runs.
        fail_fast: Whether a job that fails ends all others.
    """

    checkpoint: Path
    names: Sequence[str]
    label: str
    aggregate: AggregatePlan
    trials: Sequence[Trial]
    fail_fast: bool = False


class JobFolders:
    """The folders of jobs that are trained together, and their summaries.

    Attributes:
        jobs: The jobs, each with its configuration and folder.
        facts: Fields of a summary that do not change during the run.
        layout: Shape of each parameter.
        trees: Configuration of each job, as a nested dictionary.
        schemas: Names of the dataclasses of each job's choices.
        summaries: Current summary of each job.
    """

    def __init__(self, jobs: Sequence[Job], facts: Mapping[str, Any], layout: Mapping[str, Sequence[int]]) -> None:
        """Make the first summaries in memory; nothing is written.

        Args:
            jobs: The jobs, each with its configuration and folder.
            facts: Fields of a summary that do not change during the run.
            layout: Shape of each parameter.
        """
        self.jobs, self.facts = jobs, facts
        self.layout = {name: list(shape) for name, shape in layout.items()}
        self.trees = [to_dict(job.config) for job in jobs]
        self.schemas = [schema_names(job.config) for job in jobs]
        self.summaries: list[Summary] = []
        self.refresh([Replica() for _ in jobs])
        self._settled: set[int] = set()  # jobs whose final summary is on disk

    def begin(self) -> dict[int, str]:
        """Write the first summaries.

        Returns:
            Index of each job whose folder cannot be written -> the error.

        Raises:
            RecordError: The disk is full or broken, or the folder of the only job cannot be written.
        """
        unwritable = {}
        for index, (job, summary) in enumerate(zip(self.jobs, self.summaries, strict=True)):
            try:
                write_summary(job.folder, summary)
            except RecordError as error:
                if len(self.jobs) == 1 or isinstance(error, MachineError):
                    raise
                unwritable[index] = str(error)
        return unwritable

    def refresh(self, replicas: Sequence[Replica]) -> None:
        """Update the summaries in memory from the state of the training."""
        self.summaries = [
            Summary(
                status=replica.status,
                message=replica.message,
                **progress_fields(replica),
                config=self.trees[index],
                schema=self.schemas[index],
                **self.facts,
            )
            for index, replica in enumerate(replicas)
        ]

    def write(self, index: int, summary: Summary, *, durable: bool) -> None:
        """Write the summary of a job. Once a final one is on disk, a later failure of the run does not change it."""
        write_summary(self.jobs[index].folder, summary, durable=durable)
        if summary.status != "running":
            self._settled.add(index)

    def add_broken(self, broken: Mapping[int, str]) -> None:
        """Write the summaries of jobs whose records could not be written, if their folders allow it.

        Args:
            broken: Job index -> error, for errors that the training loop has not received.
        """
        for index, message in broken.items():
            self.summaries[index] = replace(self.summaries[index], status="failed", message=message)
        for job, summary in zip(self.jobs, self.summaries, strict=True):
            if summary.status == "failed":
                with contextlib.suppress(RecordError):
                    write_summary(job.folder, summary)

    def fail(self, message: str, error: BaseException) -> None:
        """Report an error of the whole run, and write it to the summaries of jobs without a final one on disk."""
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


def progress_fields(replica: Replica) -> dict[str, Any]:
    """Return the fields of a summary that change during training."""
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
