"""Where each replica of a run stands, and what is kept of it to go on later.

Letters: k replicas that go on together, P parameters of one replica.
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
    """Where one replica stands.

    Attributes:
        status: As in its summary.
        message: What happened, where the status does not say it.
        updates: Updates done.
        sequences: Sequences seen, products included.
        products: Gauss-Newton products done.
        forward_passes: Sequences passed forward through time by the optimizer.
        backward_passes: Sequences passed backward.
        seconds: Wall-clock time of training.
        loss: At the last evaluation.
        error_rate: At the last evaluation.
        hits: The last evaluations running with an error rate under the limit, at most three.
        solved_at: The first of the evaluations that made it solved.
    """

    status: Status = "running"
    message: str | None = None
    updates: int = 0
    sequences: float = 0.0
    products: float = 0.0
    forward_passes: float = 0.0
    backward_passes: float = 0.0
    seconds: float = 0.0
    loss: float | None = None
    error_rate: float | None = None
    hits: list[SolvedAt] = field(default_factory=list)
    solved_at: SolvedAt | None = None

    def take_evaluation(self, loss: float, error_rate: float, limit: float, update: int, seconds: float) -> None:
        """Note what an evaluation has found.

        Args:
            loss: On the held-out sequences.
            error_rate: On them, between 0 and 1.
            limit: Of the error rate, below which the task counts as solved.
            update: Updates done.
            seconds: Wall-clock time of training.
        """
        self.loss, self.error_rate = loss, error_rate
        if error_rate < limit:
            self.hits.append(SolvedAt(update, round(self.sequences), seconds))
        else:
            self.hits.clear()

    @classmethod
    def from_contents(cls, contents: Mapping[str, Any]) -> Self:
        """The replica that `dataclasses.asdict` took apart, as one that goes on."""
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
    """All that k replicas need to go on together, to the very numbers that they would have had.

    Attributes:
        update: Updates done, the same for all of them.
        num_logged: Rows of metrics with an update so far, by which probes are scheduled.
        theta: Parameters, (k, P), on the CPU.
        optimizer_state: Each (k, ...), on the CPU.
        previous: Of `TrainingState.previous`, each (k, P), on the CPU.
        replicas: Where each of them stands.
    """

    update: int
    num_logged: int
    theta: Tensor
    optimizer_state: State
    previous: State
    replicas: Sequence[Replica]

    def rows(self, index: Sequence[int]) -> "Snapshot":
        """Some of the replicas."""
        rows = torch.tensor(index, dtype=torch.int64)
        state, previous = (
            {name: tensor[rows] for name, tensor in tensors.items()}
            for tensors in (self.optimizer_state, self.previous)
        )
        replicas = [self.replicas[row] for row in index]
        return Snapshot(self.update, self.num_logged, self.theta[rows], state, previous, replicas)

    def form(self) -> tuple[Any, ...]:
        """Names, shapes and types of the tensors of one replica; snapshots of the same can be joined."""
        tensors = [("theta", self.theta), *self.optimizer_state.items(), *self.previous.items()]
        return tuple((name, tensor.shape[1:], tensor.dtype) for name, tensor in tensors)

    def contents(self) -> dict[str, Any]:
        """Tensors, numbers, strings, lists and dictionaries of these, as a checkpoint holds them."""
        shallow = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**shallow, "replicas": [dataclasses.asdict(replica) for replica in self.replicas]}

    @classmethod
    def from_contents(cls, contents: Mapping[str, Any]) -> Self:
        """The snapshot whose `contents` are among those of a checkpoint."""
        values = {field.name: contents[field.name] for field in dataclasses.fields(cls)}
        return cls(**{**values, "replicas": [Replica.from_contents(one) for one in contents["replicas"]]})

    @classmethod
    def join(cls, parts: Sequence["Snapshot"]) -> "Snapshot":
        """Replicas of several snapshots that have done the same number of updates, in one.

        Raises:
            ValueError: They have not.
        """
        first = parts[0]
        if any((part.update, part.num_logged) != (first.update, first.num_logged) for part in parts):
            raise ValueError(f"replicas after {sorted({part.update for part in parts})} updates cannot go on together")
        return cls(
            update=first.update,
            num_logged=first.num_logged,
            theta=torch.cat([part.theta for part in parts]),
            optimizer_state=_join([part.optimizer_state for part in parts]),
            previous=_join([part.previous for part in parts]),
            replicas=[replica for part in parts for replica in part.replicas],
        )


def _join(parts: Sequence[State]) -> State:
    """Tensors of several sets of replicas, by name, in one."""
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


# ---------------------------------------------------------------- contents of a file that may have been changed


def check_snapshot(contents: Mapping[str, Any]) -> None:
    """Check that the contents of a checkpoint have the kinds and shapes of `Snapshot.contents`.

    Raises:
        ValueError: They do not; the message names the first that is wrong.
    """
    for key in ("update", "num_logged"):
        if not _is_count(contents.get(key)):
            raise ValueError(f"its {key} is missing or no count")
    kinds = {"theta": Tensor, "optimizer_state": dict, "previous": dict}
    for key, kind in {**kinds, "replicas": list}.items():
        if not isinstance(contents.get(key), kind):
            raise ValueError(f"its {key} is missing or of another type")
    num_replicas = len(contents["replicas"])
    tensors = [("theta", contents["theta"]), *contents["optimizer_state"].items(), *contents["previous"].items()]
    for name, tensor in tensors:
        if not isinstance(tensor, Tensor) or tensor.dim() == 0 or len(tensor) != num_replicas:
            raise ValueError(f"its {name} does not have a row for each of {num_replicas} replicas")
    for replica in contents["replicas"]:
        _check_replica(replica)


def _check_replica(contents: Any) -> None:
    """Check that `Replica.from_contents` can make a replica of it."""
    try:
        replica = Replica.from_contents(contents)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError("a replica in it has other fields") from error
    numbers: list[Any] = [replica.updates, replica.sequences, replica.products, replica.seconds]
    numbers += [replica.forward_passes, replica.backward_passes]
    numbers += [number for number in (replica.loss, replica.error_rate) if number is not None]
    for hit in (*replica.hits, *([] if replica.solved_at is None else [replica.solved_at])):
        numbers += [hit.update, hit.sequences, hit.seconds]
    if not all(isinstance(number, float) or _is_count(number) for number in numbers):
        raise ValueError("a count or a loss of a replica in it is no number")


def _is_count(value: Any) -> bool:
    """Whether it is a whole number that TensorBoard and tensors can hold."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63
