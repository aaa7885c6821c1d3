"""The training loop.

Letters: R replicas of the run, k of them still active, P parameters of one replica.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from rnnbench.optim.base import Optimizer, State, Update
from rnnbench.probes.base import View
from rnnbench.records.summary import SolvedAt, Status
from rnnbench.training.interrupt import Interrupt, Interrupted
from rnnbench.training.observation import Observer
from rnnbench.training.problem import Problem

NUM_EVALUATIONS_TO_SOLVE = 3
"""Evaluations running at which the error rate has to be under the task's limit."""

COUNTS = ("updates", "sequences", "products", "seconds", "loss", "error_rate")
"""Fields of a replica that a checkpoint holds as they are."""


@dataclass(frozen=True)
class Plan:
    """When a run ends and how often it records, in updates.

    Attributes:
        max_updates: Budget of updates.
        max_sequences: Budget of sequences of one replica; None: none.
        max_seconds: Budget of wall-clock time; None: none.
        log_every: Updates between rows.
        evaluate_every: Updates between evaluations.
        checkpoint_every: Updates between checkpoints.
        stop_when_solved: Whether a replica ends when it is solved.
    """

    max_updates: int
    max_sequences: int | None
    max_seconds: float | None
    log_every: int
    evaluate_every: int
    checkpoint_every: int
    stop_when_solved: bool


@dataclass
class Replica:
    """Where one replica stands.

    Attributes:
        status: As in its summary.
        message: What happened, where the status does not say it.
        updates: Updates done.
        sequences: Sequences seen, products included.
        products: Gauss-Newton products done.
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
    seconds: float = 0.0
    loss: float | None = None
    error_rate: float | None = None
    hits: list[SolvedAt] = field(default_factory=list)
    solved_at: SolvedAt | None = None


class Audience(Protocol):
    """Who is told how the run goes."""

    def show(self, training: "Training", update: Update | None) -> None:
        """After each update, and once before the first."""

    def message(self, text: str) -> None:
        """Something that a person should know."""

    def ended(self, training: "Training", replica: int) -> None:
        """A replica has ended: its records are on disk."""

    def checkpoint(self, training: "Training") -> None:
        """The active replicas should be saved; the records up to now are on disk."""


class Training:
    """Trains all replicas of a run together, until each is solved, has diverged, or has used up its budget.

    A replica that has ended keeps its last finite parameters; the rows of the active ones are gathered, so that it
    costs nothing any more and changes nothing for the others.

    Attributes:
        replicas: Where each of the R replicas stands.
        active: Indices of the replicas that are still trained.
        theta: Parameters of the active ones, (k, P).
        state: Optimizer state of the active ones.
        update: Updates done.
        final: Parameters and state of each replica that has ended.
    """

    def __init__(
        self,
        problem: Problem,
        optimizer: Optimizer,
        theta: Tensor,
        plan: Plan,
        observer: Observer,
        audience: Audience,
        interrupt: Interrupt,
    ) -> None:
        self._problem, self._optimizer, self.plan = problem, optimizer, plan
        self._observer, self._audience, self._interrupt = observer, audience, interrupt
        self.replicas = [Replica() for _ in range(theta.shape[0])]
        self.active = list(range(theta.shape[0]))
        self.theta, self.state = theta, optimizer.initial_state(theta)
        self.final: dict[int, tuple[Tensor, State]] = {}
        self.update = 0
        self._start = time.perf_counter()
        self._is_new = True

    @property
    def seconds(self) -> float:
        """Wall-clock time of training so far."""
        return time.perf_counter() - self._start

    def run(self) -> None:
        """Train to the end. A signal ends the active replicas as interrupted.

        Raises:
            RecordError: Records cannot be written; what was written before is whole.
        """
        try:
            if self._is_new:
                with self._interrupt.allowed():
                    first = self._problem.evaluate(self.theta)
                self._take_evaluation(first)
                self._log(None, None, first)
            self._audience.show(self, None)
            self._end_where_budget_is_used_up()
            while self.active:
                before = self.theta
                with self._interrupt.allowed():
                    update = self._optimizer.update(before, self.state, self.update, self._problem.draw(self.update))
                    evaluation = self._problem.evaluate(update.theta) if self._evaluates() else None
                self._take(before, update, evaluation)
        except Interrupted:
            assert self._interrupt.signal is not None
            for replica in list(self.active):
                self._end(replica, "interrupted", f"ended by {self._interrupt.signal.name}")
            self._gather()

    def _evaluates(self) -> bool:
        """Whether the update under way will be followed by an evaluation."""
        done = self.update + 1
        return done % self.plan.evaluate_every == 0 or done == self.plan.max_updates

    def _take(self, before: Tensor, update: Update, evaluation: Mapping[str, Tensor] | None) -> None:
        """Take over the result of an update: states, records, endings."""
        previous_state = self.state
        self.theta, self.state = update.theta, update.state
        self.update += 1
        self._count(update)
        if evaluation is not None:
            self._take_evaluation(evaluation)
        if evaluation is not None or self.update % self.plan.log_every == 0:
            self._log(before, update, evaluation)
        self._end_diverged(before, previous_state, update)
        if evaluation is not None:
            self._end_solved()
        self._end_where_budget_is_used_up()
        self._audience.show(self, update)
        if self.active and self.update % self.plan.checkpoint_every == 0:
            self._observer.drain()
            self._audience.checkpoint(self)

    def _count(self, update: Update) -> None:
        costs = torch.stack([update.sequences, update.products]).tolist()
        for row, index in enumerate(self.active):
            replica = self.replicas[index]
            replica.updates, replica.seconds = self.update, self.seconds
            replica.sequences += costs[0][row]
            replica.products += costs[1][row]

    def _take_evaluation(self, evaluation: Mapping[str, Tensor]) -> None:
        losses, error_rates = evaluation["loss/eval"].tolist(), evaluation["error_rate/eval"].tolist()
        for index, value, rate in zip(self.active, losses, error_rates, strict=True):
            replica = self.replicas[index]
            replica.loss, replica.error_rate = value, rate
            if rate < self._problem.task.solved_error_rate:
                replica.hits.append(SolvedAt(self.update, round(replica.sequences), self.seconds))
            else:
                replica.hits.clear()

    def _log(self, before: Tensor | None, update: Update | None, evaluation: Mapping[str, Tensor] | None) -> None:
        rows = [self.replicas[index] for index in self.active]

        def numbers(read: Callable[[Replica], float]) -> Tensor:
            return torch.tensor([read(replica) for replica in rows], dtype=torch.float64)

        values = {
            "cost/sequences": numbers(lambda replica: replica.sequences),
            "cost/products": numbers(lambda replica: replica.products),
            "time/seconds": numbers(lambda replica: replica.seconds),
        }
        if evaluation is not None:
            values |= evaluation
        make_view = None
        if update is not None and before is not None:
            values |= {"loss/train": update.gradient.loss, **update.metrics}
            model, num_steps, theta, seen = self._problem.model, self._problem.task.num_steps, before, update

            def make_view(num_logged: int) -> View:
                return View(model, num_steps, theta, seen, num_logged)

        self._observer.observe(self.update, self.active, values, make_view)

    def _end_diverged(self, before: Tensor, state: State, update: Update) -> None:
        finite = update.gradient.loss.isfinite() & update.theta.sum(1).isfinite()
        if bool(finite.all()):
            return
        rows = (~finite).nonzero().flatten().tolist()
        kept = finite.unsqueeze(1)
        self.theta = torch.where(kept, self.theta, before)
        self.state = {name: torch.where(kept, tensor, state[name]) for name, tensor in self.state.items()}
        for index in [self.active[row] for row in rows]:
            message = f"loss or parameters are not finite at update {self.update}; the parameters before it are kept"
            self._end(index, "diverged", message)
            self._audience.message(f"{self._name(index)} diverged: {message}")
        self._gather()

    def _end_solved(self) -> None:
        candidates = [
            (row, index)
            for row, index in enumerate(self.active)
            if len(self.replicas[index].hits) >= NUM_EVALUATIONS_TO_SOLVE and self.replicas[index].solved_at is None
        ]
        if not candidates:
            return
        rows = torch.tensor([row for row, _ in candidates], device=self.theta.device)
        confirmed = self._problem.confirm(self.theta[rows]) < self._problem.task.solved_error_rate
        for (_, index), solved in zip(candidates, confirmed.tolist(), strict=True):
            replica = self.replicas[index]
            if not solved:
                del replica.hits[0]
                continue
            replica.solved_at = replica.hits[0]
            if self.plan.stop_when_solved:
                self._end(index, "solved", None)
        self._gather()

    def _end_where_budget_is_used_up(self) -> None:
        for index in list(self.active):
            message = self._used_up(self.replicas[index])
            if message is not None:
                self._end(index, "solved" if self.replicas[index].solved_at else "budget", message)
        self._gather()

    def _used_up(self, replica: Replica) -> str | None:
        """Which budget is used up, in words."""
        plan = self.plan
        if self.update >= plan.max_updates:
            return f"budget.updates={plan.max_updates} is used up"
        if plan.max_sequences is not None and replica.sequences >= plan.max_sequences:
            return f"budget.sequences={plan.max_sequences} is used up"
        if plan.max_seconds is not None and self.seconds >= plan.max_seconds:
            return f"budget.minutes={plan.max_seconds / 60:g} is used up"
        return None

    def _name(self, index: int) -> str:
        return "the run" if len(self.replicas) == 1 else f"replica {index}"

    def _end(self, index: int, status: Status, message: str | None) -> None:
        """Note that an active replica has ended; `_gather` then takes it out."""
        replica, row = self.replicas[index], self.active.index(index)
        replica.status, replica.message = status, message
        state = {name: tensor[row].clone() for name, tensor in self.state.items()}
        self.final[index] = (self.theta[row].clone(), state)

    def _gather(self) -> None:
        """Keep the rows of the active replicas only, and tell of those that have ended."""
        keep = [row for row, index in enumerate(self.active) if self.replicas[index].status == "running"]
        if len(keep) == len(self.active):
            return
        ended = [index for index in self.active if self.replicas[index].status != "running"]
        rows = torch.tensor(keep, dtype=torch.int64, device=self.theta.device)
        self.theta = self.theta[rows]
        self.state = {name: tensor[rows] for name, tensor in self.state.items()}
        self._problem = self._problem.replicas(keep)
        self._optimizer = self._optimizer.replicas(rows)
        self.active = [self.active[row] for row in keep]
        self._observer.drain()
        for index in ended:
            self._audience.ended(self, index)

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a checkpoint of the one replica of this run: `run` will then end with the very same numbers.

        Args:
            snapshot: From `snapshot`, of a replica that was still running, or had used up its budget.
        """
        device, dtype = self.theta.device, self.theta.dtype
        self.theta = snapshot["theta"].to(device, dtype).unsqueeze(0)
        self.state = {name: tensor.to(device).unsqueeze(0) for name, tensor in snapshot["optimizer_state"].items()}
        replica = self.replicas[0]
        for name in COUNTS:
            setattr(replica, name, snapshot[name])
        replica.hits = [SolvedAt(**hit) for hit in snapshot["hits"]]
        replica.solved_at = None if snapshot["solved_at"] is None else SolvedAt(**snapshot["solved_at"])
        self.update = replica.updates
        self._start = time.perf_counter() - replica.seconds
        self._observer.num_logged = snapshot["num_logged"]
        self._is_new = False

    def snapshot(self, index: int) -> dict[str, Any]:
        """What a checkpoint of one replica holds: parameters, optimizer state and counts."""
        if index in self.final:
            theta, state = self.final[index]
        else:
            row = self.active.index(index)
            theta, state = self.theta[row], {name: tensor[row] for name, tensor in self.state.items()}
        replica = self.replicas[index]
        counts = {name: getattr(replica, name) for name in COUNTS}
        return {
            "theta": theta.detach().cpu().clone(),
            "optimizer_state": {name: tensor.detach().cpu().clone() for name, tensor in state.items()},
            "hits": [vars(hit) for hit in replica.hits],
            "solved_at": None if replica.solved_at is None else vars(replica.solved_at),
            "num_logged": self._observer.num_logged,
            **counts,
        }
