"""The state from which a batched run is resumed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from rnnbench.run.job_folders import Lengths
from rnnbench.training.replica import Snapshot


@dataclass(frozen=True)
class ResumePoint:
    """The state from which the jobs of a run are resumed.

    Attributes:
        snapshot: State of all jobs; None: nothing was saved, so they restart.
        lengths: Length in bytes of each record file of each job at the snapshot; None: the records restart too.
        threads: Number of threads of the earlier process; None: unknown.
        recurrence: Faster recurrence of a gated net, as measured by the earlier process; None: not measured.
    """

    snapshot: Snapshot | None
    lengths: Sequence[Lengths] | None
    threads: int | None
    recurrence: str | None = None

    @classmethod
    def of(cls, checkpoint: Mapping[str, Any], snapshot: Snapshot, lengths: Sequence[Lengths]) -> Self:
        """Return the resume point of some replicas of a checkpoint."""
        return cls(snapshot, lengths, checkpoint["threads"], checkpoint.get("recurrence"))
