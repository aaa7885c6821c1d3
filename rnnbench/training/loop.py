"""The training loop.

Letters: R replicas of the run, k of them still active, P parameters of one replica.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor

from rnnbench.optim.base import Optimizer, State, Update
from rnnbench.optim.weight_average import columns_of_average
from rnnbench.probes.base import PreviousUpdate, View
from rnnbench.training.costs import COSTS, CostLedger, cost_columns, costs_of
from rnnbench.training.curriculum import LENGTH_METRIC, Curriculum
from rnnbench.training.divergence import Divergence
from rnnbench.training.interrupt import Interrupt, Interrupted
from rnnbench.training.listener import RunListener
from rnnbench.training.plan import TrainingPlan
from rnnbench.training.problem import Problem
from rnnbench.training.recorder import RowRecorder
from rnnbench.training.replica import Snapshot
from rnnbench.training.stalls import Stalls
from rnnbench.training.state import TrainingState
from rnnbench.training.stepping import CapturedUpdates, Step

NUM_EVALUATIONS_TO_SOLVE = 3
"""Number of consecutive evaluations with an error rate below the task's limit, unless the budget ends before."""

MAX_PENDING_UPDATES = 100
"""On a GPU, maximum number of updates between two checks for diverged replicas."""


SINGULAR = (
    "flossing before training: the Lyapunov exponents are not finite, since a Jacobian is singular; the parameters "
    "before it are kept"
)


class Training(TrainingState):
    """Trains all replicas of a run together until each is solved, has diverged, or has used up its budget.

    Args:
        problem: Draws batches and evaluates parameters.
        optimizer: Makes the updates.
        theta: Initial parameters, (R, P).
        plan: When the run ends and how often it records.
        recorder: Receives the rows of metrics.
        listener: Receives progress, messages and requests to save.
        interrupt: Receives signals.
        keeps_previous: Whether `previous` is kept, for probes that compare successive updates.
        is_late: Whether diverged replicas are checked for only before a row, an evaluation or a checkpoint; None: on a
            GPU only, where each check waits for the device.
        captured: Replays updates as CUDA graphs; None: no update is captured.
        curriculum: Lengths of the training batches of a run with one replica, whose updates are not captured; None: all
            batches have the task's length.
        fail_fast: Whether a replica that fails ends all others as interrupted.
        clock: Returns the time in seconds.
    """

    def __init__(
        self,
        problem: Problem,
        optimizer: Optimizer,
        theta: Tensor,
        plan: TrainingPlan,
        recorder: RowRecorder,
        listener: RunListener,
        interrupt: Interrupt,
        *,
        keeps_previous: bool = False,
        is_late: bool | None = None,
        captured: CapturedUpdates | None = None,
        curriculum: Curriculum | None = None,
        fail_fast: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        super().__init__(theta, optimizer.first_state(theta), plan, recorder, clock)
        self._problem, self._optimizer = problem, optimizer
        self._listener, self._interrupt = listener, interrupt
        self._keeps_previous, self._curriculum = keeps_previous, curriculum
        self._is_late = theta.device.type != "cpu" if is_late is None else is_late
        self._divergence = Divergence(len(theta), theta.device, is_late=self._is_late)
        self._costs, self._captured, self._stalls = CostLedger(), captured, Stalls()
        self._fail_fast = fail_fast
        self._saved_at = 0.0
        self._is_new = True

    def run(self) -> None:
        """Train to the end; a signal ends the active replicas as interrupted.

        Raises:
            RecordError: A record cannot be written; earlier records are intact.
        """
        self._saved_at = self.seconds
        try:
            if self._is_new:
                with self._interrupt.allowed():
                    singular = self._floss_first()
                    first = self._evaluate(self.theta, self.state)
                self._store_evaluation(first, self.active)
                self._log(None, None, first)
                for index in singular:
                    self.end(index, "diverged", SINGULAR)
                self.settle()
                self._save()
            self._listener.on_update(self, None)
            self.end_used_up(self._used_up())
            self._drop_ended()
            while self.active:
                if self._fail_fast and any(replica.status == "failed" for replica in self.replicas):
                    self._interrupt_active("ended because another job failed")
                    break
                is_due = self.plan.is_logged(self.update + 1) or len(self._costs.pending) >= MAX_PENDING_UPDATES
                if is_due:
                    self._end_diverged_between_updates()  # so that they have no row
                    if not self.active:
                        break
                # A save that is due by time alone must not trigger the check: the records would depend on the clock.
                if (is_due or not self._is_late) and self._is_save_due():
                    self._save()
                self._advance()
        except Interrupted:
            assert self._interrupt.signal is not None
            self._interrupt_active(f"ended by {self._interrupt.signal.name}")

    def _floss_first(self) -> Sequence[int]:
        """Make the round of flossing before training; returns the replicas with a singular Jacobian, unchanged."""
        flossing = self.plan.flossing
        if flossing is None:
            return []
        flossed = flossing.floss(self._problem, self.theta, 0)
        regular = flossed.isfinite().all(1)
        self.theta = torch.where(regular.unsqueeze(1), flossed, self.theta)
        self.state = self._optimizer.initial_state(self.theta)
        passes = torch.full((len(self.theta),), float(flossing.passes(self._problem.task.num_steps)))
        costs = dict.fromkeys(COSTS, passes) | {"products": torch.zeros_like(passes)}
        self._costs.add([self.replicas[index] for index in self.active], costs, 0, self.seconds)
        self._costs.close()
        return [index for index, kept in zip(self.active, regular.tolist(), strict=True) if not kept]

    def _interrupt_active(self, message: str) -> None:
        """Save the active replicas, and end them as interrupted."""
        self._end_diverged_between_updates()
        if self.active:
            self._save()
        for replica in self.running():
            self.end(replica, "interrupted", message)
        self._drop_ended()

    def _advance(self) -> None:
        """Make an update and commit it. No reference to it is kept, so that the next update can reuse its buffers."""
        with self._interrupt.allowed():
            step = self._step()
        self._commit(step)

    def _step(self) -> Step:
        """Make an update; replay the CUDA graph, if there is one, unless the update is logged or evaluated."""
        number, captured = self.update + 1, self._captured
        flossing = self.plan.flossing
        flosses = flossing is not None and flossing.is_due(number)
        if captured is not None and not captured.is_given_up and not self.plan.is_logged(number) and not flosses:
            step = captured.make(self.theta, self.state, self._divergence.since, self.update)
            if step is not None:
                return step
        update = self._optimizer.update(self.theta, self.state, self.update, self._trained().draw(self.update))
        if flossing is not None:
            update = flossing.after(self._problem, update, number)
        evaluation = self._evaluate(update.theta, update.state) if self.plan.is_evaluated(number) else None
        frozen = self._divergence.freeze(self.theta, self.state, update, number)
        return Step(*frozen, costs_of(update), update, evaluation)

    def _commit(self, step: Step) -> None:
        """Commit an update: store its result, record its row, end replicas."""
        before, update, evaluation = self.theta, step.update, step.evaluation
        self.update += 1
        self.theta, self.state = step.theta, step.state
        self._divergence.commit(step.since)
        self._costs.add([self.replicas[index] for index in self.active], step.costs, self.update, self.seconds)
        is_logged, used_up = self.plan.is_logged(self.update), self._used_up()
        if evaluation is not None:
            self._store_evaluation(evaluation, self.active)
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
        self.end_used_up(used_up)
        if is_logged or self.have_ended():
            self.settle()
        self._report_stalled(update)
        if self._curriculum is not None and update is not None:
            evaluated = None if evaluation is None else self.theta
            self._curriculum.advance(self._problem, self.replicas[0], float(update.gradient.loss), evaluated)
        self._drop_ended()
        self._listener.on_update(self, update)
        if self.active and saves:
            self._save()

    def _trained(self) -> Problem:
        """Return the problem from which the batches of an update are drawn."""
        if self._curriculum is None:
            return self._problem
        return self._curriculum.problem(self._problem, self.replicas[0])

    def _report_stalled(self, update: Update | None) -> None:
        stalled = None if update is None else self._optimizer.is_stalled(update)
        if stalled is None:
            return
        found = self._stalls.add(dict(zip(self.active, stalled.tolist(), strict=True)))
        if found:
            self._listener.message(f"{self.names(found)} stalled: {self._optimizer.stalled_message}")

    def _is_save_due(self) -> bool:
        """Whether the last checkpoint is older than the plan allows."""
        limit = self.plan.checkpoint_seconds
        return limit is not None and self.seconds - self._saved_at >= limit

    def _save(self) -> None:
        """Save the active replicas."""
        self._listener.checkpoint(self)
        self._saved_at = self.seconds

    def _evaluate_last(self, used_up: Mapping[int, str], *, is_logged: bool) -> Mapping[str, Tensor] | None:
        """Evaluate replicas whose budget ends between two evaluations.

        Args:
            used_up: These replicas, from `_used_up`.
            is_logged: Whether the update has a row anyway.

        Returns:
            The evaluation, if the update's row includes it (all active replicas end). None otherwise: an update without
            a row gets one for the evaluation.
        """
        self._end_diverged()
        ending = [index for index in self.running() if index in used_up]
        if not ending:
            return None
        rows = [self.active.index(index) for index in ending]
        evaluation = self._evaluate(self.theta[rows], {name: tensor[rows] for name, tensor in self.state.items()})
        self._store_evaluation(evaluation, ending)
        if is_logged:
            return evaluation if ending == self.active else None
        self._recorder.observe(self.update, ending, self._cost_columns(ending) | dict(evaluation), None)
        self._end_failed()
        return None

    def _evaluate(self, theta: Tensor, state: State) -> Mapping[str, Tensor]:
        """Evaluate parameters, and the average of the weights if the optimizer keeps one; column -> values, (k,)."""
        values, average = self._problem.evaluate(theta), self._optimizer.averaged(state)
        return values if average is None else values | columns_of_average(self._problem.evaluate(average))

    def _store_evaluation(self, evaluation: Mapping[str, Tensor], indices: Sequence[int]) -> None:
        losses, error_rates = evaluation["loss/eval"].tolist(), evaluation["error_rate/eval"].tolist()
        limit = self._problem.task.solved_error_rate
        for index, value, rate in zip(indices, losses, error_rates, strict=True):
            self.replicas[index].take_evaluation(value, rate, limit, self.update, self.seconds)

    def _cost_columns(self, indices: Sequence[int]) -> dict[str, Tensor]:
        """Return the cost columns of some replicas."""
        return cost_columns([self.replicas[index] for index in indices])

    def _log(self, before: Tensor | None, update: Update | None, evaluation: Mapping[str, Tensor] | None) -> None:
        values = self._cost_columns(self.active) | dict(evaluation or {})
        make_view = None
        if update is not None and before is not None:
            values |= {"loss/train": update.gradient.loss, **update.metrics}
            if self._curriculum is not None:
                length = self._curriculum.length(self.replicas[0])
                values[LENGTH_METRIC.tag] = torch.full_like(update.gradient.loss, length)
            model, task, theta, seen = self._problem.model, self._trained().task, before, update
            previous = PreviousUpdate(**self.previous) if self.previous else None

            def make_view(num_logged: int) -> View:
                # Columns exist for the lags of the full length.
                dependency = task.dependency if task is self._problem.task else None
                return View(model, task.num_steps, theta, seen, num_logged, previous=previous, dependency=dependency)

        self._recorder.observe(self.update, self.active, values, make_view)

    def _end_failed(self) -> None:
        """End the replicas whose records can no longer be written."""
        for index, message in self._recorder.broken().items():
            if index in self.active:
                self.end(index, "failed", message)
                self._listener.message(f"{self.names([index])} failed: {message}")

    def _end_diverged_between_updates(self) -> None:
        """End and drop the replicas that have diverged in the pending updates."""
        self._end_diverged()
        if self.have_ended():
            self.settle()
        self._drop_ended()

    def _end_diverged(self) -> None:
        """End the replicas that have diverged, each as it was before the update at which it diverged."""
        updates = self._divergence.diverged_at()
        running = [row for row in updates if self.replicas[self.active[row]].status == "running"]
        for number, rows in groupby(sorted(running, key=updates.__getitem__), key=updates.__getitem__):
            message = f"loss or parameters are not finite at update {number}; the parameters before it are kept"
            diverged = []
            for row in rows:
                index = self.active[row]
                self._costs.undo_after(self.replicas[index], row, number)
                self.end(index, "diverged", message)
                diverged.append(index)
            self._listener.message(f"{self.names(diverged)} diverged: {message}")
        self._costs.close()

    def _end_solved(self, used_up: Collection[int]) -> None:
        """End solved replicas: below the limit at enough consecutive evaluations, and on further sequences.

        Args:
            used_up: Replicas whose budget is used up. For these one evaluation is enough, since no other follows; the
                result must not depend on how often a run is evaluated.
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
                self.end(index, "solved", None)

    def _used_up(self) -> dict[int, str]:
        """Return the running replicas that have used up a budget, with a message that names the budget."""
        seconds = self.seconds if self.plan.max_seconds is None else self._problem.world.first(self.seconds)
        messages = {i: self.plan.used_up(self.update, self.replicas[i].sequences, seconds) for i in self.running()}
        return {index: message for index, message in messages.items() if message is not None}

    def _drop_ended(self) -> None:
        """Keep only the rows of the running replicas, and report those that have ended."""
        if not self.have_ended():
            return
        ended = [index for index in self.active if self.replicas[index].status != "running"]
        kept = self.drop_ended()
        rows = torch.tensor(kept, dtype=torch.int64, device=self.theta.device)
        self._problem = self._problem.replicas(kept)
        self._optimizer = self._optimizer.replicas(rows)
        if self._captured is not None:
            self._captured = self._captured.replicas(self._problem, self._optimizer)
        self._divergence.select(rows)
        self._listener.ended(self, ended)

    def restore(self, snapshot: Snapshot) -> None:
        """See `TrainingState.restore`; the result of `run` is bit-identical to that of an uninterrupted run."""
        super().restore(snapshot)
        self._divergence = Divergence(len(self.theta), self.theta.device, is_late=self._is_late)
        self._is_new = all(replica.loss is None for replica in self.replicas)  # ended before the first evaluation
