"""The progress of each replica of a run, and snapshots from which replicas are resumed.

Letters: k replicas that are resumed together, P parameters of one replica.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor

from rnnbench.optim.base import State
from rnnbench.records.summary import SolvedAt, Status


@dataclass
class Replica:
    """Progress of one replica.

    Attributes:
        status: Status, as in the summary.
        message: Reason for the status, if the status alone does not explain it.
        updates: Number of updates done.
        sequences: Number of sequences processed, those of curvature products included.
        products: Number of Gauss-Newton or Hessian products.
        forward_passes: Number of forward passes over a sequence by the optimizer.
        backward_passes: Number of backward passes over a sequence by the optimizer.
        seconds: Wall-clock time of training.
        length: Sequence length of the next training batch; None: that of the first batches.
        loss: Loss at the last evaluation; None: not evaluated yet.
        error_rate: Error rate at the last evaluation; None: not evaluated yet.
        hits: The latest consecutive evaluations with an error rate below the limit, at most three.
        solved_at: The first of the evaluations at which the replica was solved; None: it is not solved.
    """

    status: Status = "running"
    message: str | None = None
    updates: int = 0
    sequences: float = 0.0
    products: float = 0.0
    forward_passes: float = 0.0
    backward_passes: float = 0.0
    seconds: float = 0.0
    length: int | None = None
    loss: float | None = None
    error_rate: float | None = None
    hits: list[SolvedAt] = field(default_factory=list)
    solved_at: SolvedAt | None = None

    def take_evaluation(self, loss: float, error_rate: float, limit: float, update: int, seconds: float) -> None:
        """Store the result of an evaluation.

        Args:
            loss: Loss on the held-out sequences.
            error_rate: Error rate on the held-out sequences, between 0 and 1.
            limit: Error rate below which the task counts as solved.
            update: Number of updates done.
            seconds: Wall-clock time of training.
        """
        self.loss, self.error_rate = loss, error_rate
        if error_rate < limit:
            self.hits.append(SolvedAt(update, round(self.sequences), seconds))
        else:
            self.hits.clear()

    @classmethod
    def from_contents(cls, contents: Mapping[str, Any]) -> Self:
        """Rebuild a replica from its `dataclasses.asdict`, with status "running"."""
        solved_at = contents["solved_at"]
        changed = {
            "status": "running",
            "message": None,
            "hits": [SolvedAt(**hit) for hit in contents["hits"]],
            "solved_at": None if solved_at is None else SolvedAt(**solved_at),
        }
        return cls(**{**contents, **changed})


@dataclass(frozen=True)
class Snapshot:
    """Everything needed to resume k replicas together with bit-identical results.

    Attributes:
        update: Number of updates done, the same for all replicas.
        num_logged: Number of logged rows that follow an update; it schedules the probes.
        theta: Parameters, (k, P), on the CPU.
        optimizer_state: Tensors of the optimizer, (k, ...) each, on the CPU.
        previous: Tensors of `TrainingState.previous`, (k, P) each, on the CPU.
        replicas: Progress of each replica.
    """

    update: int
    num_logged: int
    theta: Tensor
    optimizer_state: State
    previous: State
    replicas: Sequence[Replica]

    def rows(self, index: Sequence[int]) -> "Snapshot":
        """Return the snapshot of some of the replicas, by their rows."""
        rows = torch.tensor(index, dtype=torch.int64)
        state, previous = (
            {name: tensor[rows] for name, tensor in tensors.items()}
            for tensors in (self.optimizer_state, self.previous)
        )
        replicas = [self.replicas[row] for row in index]
        return Snapshot(self.update, self.num_logged, self.theta[rows], state, previous, replicas)

    def form(self) -> tuple[Any, ...]:
        """Return names, shapes and dtypes of one replica's tensors; only snapshots of equal form can be joined."""
        tensors = [("theta", self.theta), *self.optimizer_state.items(), *self.previous.items()]
        return tuple((name, tensor.shape[1:], tensor.dtype) for name, tensor in tensors)

    def contents(self) -> dict[str, Any]:
        """Return the snapshot as a checkpoint stores it: tensors, numbers, strings, and lists and dicts of these."""
        shallow = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**shallow, "replicas": [dataclasses.asdict(replica) for replica in self.replicas]}

    @classmethod
    def from_contents(cls, contents: Mapping[str, Any]) -> Self:
        """Rebuild a snapshot from the contents of a checkpoint."""
        values = {field.name: contents[field.name] for field in dataclasses.fields(cls)}
        return cls(**{**values, "replicas": [Replica.from_contents(one) for one in contents["replicas"]]})

    @classmethod
    def join(cls, parts: Sequence["Snapshot"]) -> "Snapshot":
        """Join the replicas of several snapshots that have done the same number of updates.

        Raises:
            ValueError: The numbers of updates differ.
        """
        first = parts[0]
        if any((part.update, part.num_logged) != (first.update, first.num_logged) for part in parts):
            raise ValueError(f"replicas after {sorted({part.update for part in parts})} updates cannot be joined")
        return cls(
            update=first.update,
            num_logged=first.num_logged,
            theta=torch.cat([part.theta for part in parts]),
            optimizer_state=_join([part.optimizer_state for part in parts]),
            previous=_join([part.previous for part in parts]),
            replicas=[replica for part in parts for replica in part.replicas],
        )


def _join(parts: Sequence[State]) -> State:
    """Concatenate tensors of the same names over replicas."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


# ---------------------------------------------------------------- validation of a file's contents


def check_snapshot(contents: Mapping[str, Any]) -> None:
    """Check that the contents of a checkpoint have the types and shapes of `Snapshot.contents`.

    Raises:
        ValueError: An entry is wrong; the message names the first one.
    """
    for key in ("update", "num_logged"):
        if not _is_count(contents.get(key)):
            raise ValueError(f"{key} is missing or not a count")
    kinds = {"theta": Tensor, "optimizer_state": dict, "previous": dict}
    for key, kind in {**kinds, "replicas": list}.items():
        if not isinstance(contents.get(key), kind):
            raise ValueError(f"{key} is missing or has another type")
    num_replicas = len(contents["replicas"])
    tensors = [("theta", contents["theta"]), *contents["optimizer_state"].items(), *contents["previous"].items()]
    for name, tensor in tensors:
        if not isinstance(tensor, Tensor) or tensor.dim() == 0 or len(tensor) != num_replicas:
            raise ValueError(f"{name} does not have one row per replica ({num_replicas})")
    for replica in contents["replicas"]:
        _check_replica(replica)


def _check_replica(contents: Any) -> None:
    """Check that `Replica.from_contents` can rebuild a replica from these contents."""
    try:
        replica = Replica.from_contents(contents)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError("the fields of a replica are wrong") from error
    numbers: list[Any] = [replica.updates, replica.sequences, replica.products, replica.seconds]
    numbers += [replica.forward_passes, replica.backward_passes]
    numbers += [number for number in (replica.length, replica.loss, replica.error_rate) if number is not None]
    for hit in (*replica.hits, *([] if replica.solved_at is None else [replica.solved_at])):
        numbers += [hit.update, hit.sequences, hit.seconds]
    if not all(isinstance(number, float) or _is_count(number) for number in numbers):
        raise ValueError("a count or a loss of a replica is not a number")


def _is_count(value: Any) -> bool:
    """Whether a value is a nonnegative integer of at most 63 bits, which TensorBoard and tensors can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
