"""The state of a run: parameters, optimizer state and status of its replicas.

Letters: R replicas of the run, k of them still active, P parameters of one replica.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from rnnbench.optim.base import State
from rnnbench.records.summary import Status
from rnnbench.training.plan import TrainingPlan
from rnnbench.training.recorder import RowRecorder
from rnnbench.training.replica import Replica, Snapshot


class TrainingState:
    """The current state of a run.

    A replica that has ended keeps its last finite parameters. Only the rows of the active replicas are kept in the
    tensors, so that ended replicas cost nothing and do not affect the others.

    Args:
        theta: Initial parameters, (R, P).
        state: Initial optimizer state.
        plan: When the run ends and how often it records.
        recorder: Receives the rows of metrics.
        clock: Returns the time in seconds.

    Attributes:
        plan: The plan.
        replicas: State of each of the R replicas.
        active: Indices of the replicas that are still trained.
        theta: Parameters of the active replicas, (k, P).
        state: Optimizer state of the active replicas.
        previous: `theta` and `gradient`, (k, P) each, from which the last update started; empty unless a probe
            compares successive updates.
        update: Number of updates done.
        final: Parameters, optimizer state and `previous` of each replica that has ended, by its index.
    """

    def __init__(
        self,
        theta: Tensor,
        state: State,
        plan: TrainingPlan,
        recorder: RowRecorder,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.plan, self._recorder = plan, recorder
        self.replicas = [Replica() for _ in range(theta.shape[0])]
        self.active = list(range(theta.shape[0]))
        self.theta, self.state = theta, state
        self.previous: State = {}
        self.final: dict[int, tuple[Tensor, State, State]] = {}
        self.update = 0
        self._clock, self._start = clock, clock()

    @property
    def seconds(self) -> float:
        """Wall-clock time of training so far."""
        return self._clock() - self._start

    def running(self) -> list[int]:
        """Return the active replicas that have not ended in this update."""
        return [index for index in self.active if self.replicas[index].status == "running"]

    def have_ended(self) -> bool:
        """Whether an active replica has ended in this update."""
        return len(self.running()) < len(self.active)

    def names(self, indices: Sequence[int]) -> str:
        """Return the name of some replicas for a message."""
        if len(self.replicas) == 1:
            return "the run"
        return f"replica{'' if len(indices) == 1 else 's'} {', '.join(map(str, indices))}"

    def end(self, index: int, status: Status, message: str | None) -> None:
        """End an active replica; it stays among the active ones until `drop_ended`."""
        replica, row = self.replicas[index], self.active.index(index)
        replica.status, replica.message = status, message
        state, previous = (
            {name: tensor[row].clone() for name, tensor in tensors.items()} for tensors in (self.state, self.previous)
        )
        self.final[index] = (self.theta[row].clone(), state, previous)

    def end_used_up(self, used_up: Mapping[int, str]) -> None:
        """End the running replicas that have used up a budget; `used_up` holds the message of each."""
        for index, message in used_up.items():
            if self.replicas[index].status == "running":
                self.end(index, "solved" if self.replicas[index].solved_at else "budget", message)

    def drop_ended(self) -> list[int]:
        """Keep only the rows of the running replicas.

        Returns:
            The kept rows, among the k before.
        """
        rows = [row for row, index in enumerate(self.active) if self.replicas[index].status == "running"]
        index = torch.tensor(rows, dtype=torch.int64, device=self.theta.device)
        self.theta = self.theta[index]
        self.state = {name: tensor[index] for name, tensor in self.state.items()}
        self.previous = {name: tensor[index] for name, tensor in self.previous.items()}
        self.active = [self.active[row] for row in rows]
        return rows

    def settle(self) -> None:
        """Record the status of all replicas after the update."""
        statuses = [replica.status for replica in self.replicas]
        self._recorder.settle(self.update, statuses, [replica.solved_at is not None for replica in self.replicas])

    def snapshot(self, replicas: Sequence[int]) -> Snapshot:
        """Copy some replicas, either all active or all ended; later updates do not change the copy."""
        if replicas and replicas[0] in self.final:
            thetas, states, before = zip(*(self.final[index] for index in replicas), strict=True)
            theta = torch.stack(thetas)
            state, previous = (
                {name: torch.stack([one[name] for one in all_]) for name in all_[0]} for all_ in (states, before)
            )
        else:
            rows = torch.tensor([self.active.index(index) for index in replicas], dtype=torch.int64)
            theta = self.theta[rows.to(self.theta.device)]
            state, previous = (
                {name: tensor[rows.to(tensor.device)] for name, tensor in tensors.items()}
                for tensors in (self.state, self.previous)
            )
        return Snapshot(
            update=self.replicas[replicas[0]].updates if replicas else self.update,
            num_logged=self._recorder.num_logged,
            theta=theta.detach().cpu(),
            optimizer_state={name: tensor.detach().cpu() for name, tensor in state.items()},
            previous={name: tensor.detach().cpu() for name, tensor in previous.items()},
            replicas=[replace(self.replicas[index], hits=list(self.replicas[index].hits)) for index in replicas],
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a snapshot of all replicas of this run.

        Args:
            snapshot: State of replicas that were active or had used up their budget.
        """
        device, dtype = self.theta.device, self.theta.dtype
        self.theta = snapshot.theta.to(device, dtype)
        self.state = {name: tensor.to(device) for name, tensor in snapshot.optimizer_state.items()}
        self.previous = {name: tensor.to(device) for name, tensor in snapshot.previous.items()}
        self.replicas = list(snapshot.replicas)
        self.update = snapshot.update
        self._start = self._clock() - max(replica.seconds for replica in self.replicas)
        self._recorder.num_logged = snapshot.num_logged
