"""The training loop.

Letters: R replicas of the run, k of them still active, P parameters of one replica.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import torch
from torch import Tensor

from rnnbench.optim.base import Optimizer, State, Update
from rnnbench.probes.base import PreviousUpdate, View
from rnnbench.records.summary import Status
from rnnbench.training.counting import Counting, costs_of, counted_columns
from rnnbench.training.divergence import Divergence
from rnnbench.training.interrupt import Interrupt, Interrupted
from rnnbench.training.listeners import Audience, Recorder
from rnnbench.training.plan import Plan
from rnnbench.training.problem import Problem
from rnnbench.training.replica import Replica, Snapshot
from rnnbench.training.stepping import CapturedUpdates, Step

NUM_EVALUATIONS_TO_SOLVE = 3
"""Evaluations running at which the error rate has to be under the task's limit, or those that a budget leaves."""

MOST_UNSEEN_UPDATES = 100
"""Updates on a device after which it is asked who has diverged where no row of metrics or evaluation asks before."""


class Training:
    """Trains all replicas of a run together, until each is solved, has diverged, or has used up its budget.

    A replica that has ended keeps its last finite parameters; the rows of the active ones are gathered, so that it
    costs nothing any more and changes nothing for the others.

    Attributes:
        replicas: Where each of the R replicas stands.
        active: Indices of the replicas that are still trained.
        theta: Parameters of the active ones, (k, P).
        state: Optimizer state of the active ones.
        previous: Where `keeps_previous`, what the last update of the active ones started from: its `theta` and its
            `gradient`, (k, P) each; else nothing.
        update: Updates done.
        final: Parameters and state of each replica that has ended.
    """

    def __init__(
        self,
        problem: Problem,
        optimizer: Optimizer,
        theta: Tensor,
        plan: Plan,
        observer: Recorder,
        audience: Audience,
        interrupt: Interrupt,
        *,
        keeps_previous: bool = False,
        is_late: bool | None = None,
        captured: CapturedUpdates | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._problem, self._optimizer, self.plan = problem, optimizer, plan
        self._observer, self._audience, self._interrupt = observer, audience, interrupt
        self.replicas = [Replica() for _ in range(theta.shape[0])]
        self.active = list(range(theta.shape[0]))
        self.theta, self.state = theta, optimizer.initial_state(theta)
        self.previous: State = {}
        self._keeps_previous = keeps_previous
        self.final: dict[int, tuple[Tensor, State, State]] = {}
        # A device is not waited for at every update; a CPU has the answer at once.
        self._is_late = theta.device.type != "cpu" if is_late is None else is_late
        self._divergence = Divergence(len(theta), theta.device, is_late=self._is_late)
        self._counting, self._captured = Counting(), captured
        self.update = 0
        self._clock, self._start = clock, clock()
        self._saved_at = 0.0
        self._is_new = True

    @property
    def seconds(self) -> float:
        """Wall-clock time of training so far."""
        return self._clock() - self._start

    def run(self) -> None:
        """Train to the end. A signal ends the active replicas as interrupted.

        Raises:
            RecordError: Records cannot be written; what was written before is whole.
        """
        self._saved_at = self.seconds
        try:
            if self._is_new:
                with self._interrupt.allowed():
                    first = self._problem.evaluate(self.theta)
                self._take_evaluation(first, self.active)
                self._log(None, None, first)
                self._settle()
                self._save()
            self._audience.show(self, None)
            self._end_where_budget_is_used_up(self._used_up())
            self._gather()
            while self.active:
                is_asked = self._is_logged(self.update + 1) or len(self._counting.open) >= MOST_UNSEEN_UPDATES
                if is_asked:
                    self._find_diverged()  # so that those have no row
                    if not self.active:
                        break
                # Time alone has nobody asked who has diverged: the records would depend on it.
                if (is_asked or not self._is_late) and self._is_save_due():
                    self._save()
                self._advance()
        except Interrupted:
            assert self._interrupt.signal is not None
            self._find_diverged()
            if self.active:
                self._save()
            for replica in self._running():
                self._end(replica, "interrupted", f"ended by {self._interrupt.signal.name}")
            self._gather()

    def _evaluates(self, number: int) -> bool:
        """Whether an update, counted from 1, is followed by an evaluation."""
        return number % self.plan.evaluate_every == 0 or number == self.plan.max_updates

    def _is_logged(self, number: int) -> bool:
        """Whether an update, counted from 1, has a row of metrics."""
        return number % self.plan.log_every == 0 or self._evaluates(number)

    def _advance(self) -> None:
        """Make an update and take its result over; nothing of it stays here, so that its buffers serve the next."""
        with self._interrupt.allowed():
            step = self._step()
        self._take(step)

    def _step(self) -> Step:
        """Make an update of the active replicas: by a graph, if there is one, where nobody will look at it."""
        number, captured = self.update + 1, self._captured
        if captured is not None and not captured.is_given_up and not self._is_logged(number):
            step = captured.make(self.theta, self.state, self._divergence.since, self.update)
            if step is not None:
                return step
        update = self._optimizer.update(self.theta, self.state, self.update, self._problem.draw(self.update))
        evaluation = self._problem.evaluate(update.theta) if self._evaluates(number) else None
        held = self._divergence.hold(self.theta, self.state, update, number)
        return Step(*held, costs_of(update), update, evaluation)

    def _take(self, step: Step) -> None:
        """Take over the result of an update: states, records, endings."""
        before, update, evaluation = self.theta, step.update, step.evaluation
        self.update += 1
        self.theta, self.state = step.theta, step.state
        self._divergence.take(step.since)
        self._counting.add([self.replicas[index] for index in self.active], step.costs, self.update, self.seconds)
        is_logged, used_up = self._is_logged(self.update), self._used_up()
        if evaluation is not None:
            self._take_evaluation(evaluation, self.active)
        elif used_up:
            evaluation = self._evaluate_last(used_up, is_logged=is_logged)
        if is_logged:
            self._log(before, update, evaluation)
            self._end_failed()
        if self._keeps_previous and update is not None:
            self.previous = {"theta": before, "gradient": update.gradient.gradient}
        saves = self.update % self.plan.checkpoint_every == 0
        if not self._is_late or evaluation is not None or saves or used_up:
            self._end_diverged()
        if evaluation is not None or used_up:
            self._end_solved(used_up)
        self._end_where_budget_is_used_up(used_up)
        if is_logged or self._have_ended():
            self._settle()
        self._gather()
        self._audience.show(self, update)
        if self.active and saves:
            self._save()

    def _is_save_due(self) -> bool:
        """Whether the last checkpoint is as old as it may be."""
        limit = self.plan.checkpoint_seconds
        return limit is not None and self.seconds - self._saved_at >= limit

    def _save(self) -> None:
        """Have the active replicas saved."""
        self._audience.checkpoint(self)
        self._saved_at = self.seconds

    def _evaluate_last(self, used_up: Mapping[int, str], *, is_logged: bool) -> Mapping[str, Tensor] | None:
        """Evaluate replicas whose budget ends between two evaluations, as one of time does.

        Args:
            used_up: These replicas, from `_used_up`.
            is_logged: Whether the update has a row anyway.

        Returns:
            What belongs into the row of all active replicas; None where some of them go on, or in a row of its own.
        """
        self._end_diverged()
        ending = [index for index in self._running() if index in used_up]
        if not ending:
            return None
        evaluation = self._problem.evaluate(self.theta[[self.active.index(index) for index in ending]])
        self._take_evaluation(evaluation, ending)
        if is_logged:
            return evaluation if ending == self.active else None
        self._observer.observe(self.update, ending, self._counted(ending) | dict(evaluation), None)
        self._end_failed()
        return None

    def _take_evaluation(self, evaluation: Mapping[str, Tensor], indices: Sequence[int]) -> None:
        losses, error_rates = evaluation["loss/eval"].tolist(), evaluation["error_rate/eval"].tolist()
        limit = self._problem.task.solved_error_rate
        for index, value, rate in zip(indices, losses, error_rates, strict=True):
            self.replicas[index].take_evaluation(value, rate, limit, self.update, self.seconds)

    def _counted(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Columns of what some replicas have used up."""
        return counted_columns([self.replicas[index] for index in indices])

    def _log(self, before: Tensor | None, update: Update | None, evaluation: Mapping[str, Tensor] | None) -> None:
        values = self._counted(self.active) | dict(evaluation or {})
        make_view = None
        if update is not None and before is not None:
            values |= {"loss/train": update.gradient.loss, **update.metrics}
            model, num_steps, theta, seen = self._problem.model, self._problem.task.num_steps, before, update
            previous = PreviousUpdate(**self.previous) if self.previous else None

            def make_view(num_logged: int) -> View:
                return View(model, num_steps, theta, seen, num_logged, previous=previous)

        self._observer.observe(self.update, self.active, values, make_view)

    def _end_failed(self) -> None:
        """End the replicas whose records cannot be written any more."""
        for index, message in self._observer.broken().items():
            if index in self.active:
                self._end(index, "failed", message)
                self._audience.message(f"{self._names([index])} failed: {message}")

    def _find_diverged(self) -> None:
        """Take out what has diverged in the updates of which nobody has asked yet; between updates."""
        self._end_diverged()
        if self._have_ended():
            self._settle()
        self._gather()

    def _end_diverged(self) -> None:
        """End what has diverged up to now, each replica as it was at the update that made it diverge."""
        found = self._divergence.found()
        running = [row for row in found if self.replicas[self.active[row]].status == "running"]
        for number, rows in groupby(sorted(running, key=found.__getitem__), key=found.__getitem__):
            message = f"loss or parameters are not finite at update {number}; the parameters before it are kept"
            diverged = []
            for row in rows:
                index = self.active[row]
                self._counting.take_back(self.replicas[index], row, number)
                self._end(index, "diverged", message)
                diverged.append(index)
            self._audience.message(f"{self._names(diverged)} diverged: {message}")
        self._counting.close()

    def _end_solved(self, used_up: Collection[int]) -> None:
        """End what is solved: under the limit at enough evaluations running, and on further sequences.

        Args:
            used_up: Replicas whose budget is used up. Of these the last evaluation is enough: no other will follow, and
                how often a run is evaluated must not decide.
        """
        candidates = [
            (row, index)
            for row, index in enumerate(self.active)
            if self.replicas[index].status == "running"
            and len(self.replicas[index].hits) >= (1 if index in used_up else NUM_EVALUATIONS_TO_SOLVE)
            and self.replicas[index].solved_at is None
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

    def _used_up(self) -> dict[int, str]:
        """The running replicas that have used up their budget, and which, in words."""
        seconds = self.seconds if self.plan.max_seconds is None else self._problem.world.first(self.seconds)
        words = {i: self.plan.used_up(self.update, self.replicas[i].sequences, seconds) for i in self._running()}
        return {index: message for index, message in words.items() if message is not None}

    def _end_where_budget_is_used_up(self, used_up: Mapping[int, str]) -> None:
        for index, message in used_up.items():
            if self.replicas[index].status == "running":
                self._end(index, "solved" if self.replicas[index].solved_at else "budget", message)

    def _names(self, indices: Sequence[int]) -> str:
        if len(self.replicas) == 1:
            return "the run"
        return f"replica{'' if len(indices) == 1 else 's'} {', '.join(map(str, indices))}"

    def _end(self, index: int, status: Status, message: str | None) -> None:
        """Note that an active replica has ended; `_gather` then takes it out."""
        replica, row = self.replicas[index], self.active.index(index)
        replica.status, replica.message = status, message
        state, previous = (
            {name: tensor[row].clone() for name, tensor in tensors.items()} for tensors in (self.state, self.previous)
        )
        self.final[index] = (self.theta[row].clone(), state, previous)

    def _running(self) -> list[int]:
        """The active replicas that have not ended in this update."""
        return [index for index in self.active if self.replicas[index].status == "running"]

    def _have_ended(self) -> bool:
        """Whether an active replica has ended in this update."""
        return len(self._running()) < len(self.active)

    def _settle(self) -> None:
        """Tell the observer how all replicas stand after the update."""
        statuses = [replica.status for replica in self.replicas]
        self._observer.settle(self.update, statuses, [replica.solved_at is not None for replica in self.replicas])

    def _gather(self) -> None:
        """Keep the rows of the running replicas only, and tell of those that have ended."""
        if not self._have_ended():
            return
        keep = [row for row, index in enumerate(self.active) if self.replicas[index].status == "running"]
        ended = [index for index in self.active if self.replicas[index].status != "running"]
        rows = torch.tensor(keep, dtype=torch.int64, device=self.theta.device)
        self.theta = self.theta[rows]
        self.state = {name: tensor[rows] for name, tensor in self.state.items()}
        self._problem = self._problem.replicas(keep)
        self._optimizer = self._optimizer.replicas(rows)
        if self._captured is not None:
            self._captured = self._captured.replicas(self._problem, self._optimizer)
        self.previous = {name: tensor[rows] for name, tensor in self.previous.items()}
        self._divergence.keep(rows)
        self.active = [self.active[row] for row in keep]
        self._audience.ended(self, ended)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of all replicas of this run: `run` will then end with the very same numbers.

        Args:
            snapshot: Of replicas that were still active, or had used up their budget.
        """
        device, dtype = self.theta.device, self.theta.dtype
        self.theta = snapshot.theta.to(device, dtype)
        self.state = {name: tensor.to(device) for name, tensor in snapshot.optimizer_state.items()}
        self.previous = {name: tensor.to(device) for name, tensor in snapshot.previous.items()}
        self._divergence = Divergence(len(self.theta), device, is_late=self._is_late)
        self.replicas = list(snapshot.replicas)
        self.update = snapshot.update
        self._start = self._clock() - max(replica.seconds for replica in self.replicas)
        self._observer.num_logged = snapshot.num_logged
        self._is_new = all(replica.loss is None for replica in self.replicas)  # ended before the first evaluation

    def snapshot(self, replicas: Sequence[int]) -> Snapshot:
        """Some replicas as they are now, all of them active or all of them ended; nothing of it changes later."""
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
            num_logged=self._observer.num_logged,
            theta=theta.detach().cpu(),
            optimizer_state={name: tensor.detach().cpu() for name, tensor in state.items()},
            previous={name: tensor.detach().cpu() for name, tensor in previous.items()},
            replicas=[replace(self.replicas[index], hits=list(self.replicas[index].hits)) for index in replicas],
        )
