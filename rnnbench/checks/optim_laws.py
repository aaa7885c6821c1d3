"""Laws of an optimizer, on a small net in float64."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from rnnbench.checks.law import Law, LawError, assert_close
from rnnbench.optim.base import Optimizer, State, Update
from rnnbench.records.wording import count
from rnnbench.training.problem import Problem

RELATIVE = 1e-8
"""Largest difference of theta after the updates of a case, relative to its largest entry."""

COSTS = ("products", "sequences", "forward_passes", "backward_passes")


@dataclass(frozen=True)
class OptimizerCase:
    """An optimizer, with a problem and the parameters at which it starts.

    Attributes:
        optimizer: The optimizer.
        problem: The problem, with R replicas.
        theta: Parameters, (R, P), float64.
        num_updates: Number of updates, at least 2.
    """

    optimizer: Optimizer
    problem: Problem
    theta: Tensor
    num_updates: int = 4

    def replicas(self, index: Sequence[int]) -> "OptimizerCase":
        """The case of some replicas."""
        rows = torch.tensor(index)
        optimizer, problem = self.optimizer.replicas(rows), self.problem.replicas(index)
        return OptimizerCase(optimizer, problem, self.theta[rows], self.num_updates)

    def updates(self, theta: Tensor, state: State, numbers: range) -> Update:
        """Make updates; returns the last."""
        for number in numbers:
            update = self.optimizer.update(theta, state, number, self.problem.draw(number))
            theta, state = update.theta, update.state
        return update

    def run(self, num_updates: int | None = None) -> Update:
        """Make updates from the start, `self.num_updates` by default; returns the last."""
        numbers = range(num_updates or self.num_updates)
        return self.updates(self.theta, self.optimizer.first_state(self.theta), numbers)


def an_update_changes_nothing(case: OptimizerCase) -> None:
    """Theta, state and hyperparameters are left as they were."""
    state = case.optimizer.first_state(case.theta)
    for number in range(2):
        own = {entry.name: getattr(case.optimizer, entry.name) for entry in fields(case.optimizer)}
        inputs = {"theta": case.theta, **state, **{k: v for k, v in own.items() if isinstance(v, Tensor)}}
        kept = {name: tensor.clone() for name, tensor in inputs.items()}
        update = case.optimizer.update(case.theta, state, number, case.problem.draw(number))
        for name, tensor in inputs.items():
            if not torch.equal(tensor, kept[name]):
                raise LawError(f"an update changes {name} in place")
        state = update.state


def a_run_can_be_repeated(case: OptimizerCase) -> None:
    """The same updates from the same start give the same bits."""
    first, again = case.run(), case.run()
    if not torch.equal(first.theta, again.theta):
        numbers = f"theta after {case.num_updates} updates"
        raise LawError(f"{numbers} differs between two runs: the optimizer keeps something")


def the_state_is_tensors_by_replica(case: OptimizerCase) -> None:
    """The state consists of finite tensors with a row per replica, of names, shapes and types that do not change."""
    before = case.optimizer.first_state(case.theta)
    after = case.run()
    for name in before.keys() | after.state.keys():
        if name not in before or name not in after.state:
            raise LawError(f"the state has {name} only {'at first' if name in before else 'later'}")
        old, new = before[name], after.state[name]
        if (old.shape, old.dtype) != (new.shape, new.dtype) or old.shape[:1] != (len(case.theta),):
            raise LawError(
                f"state {name} must keep its type and shape (R, ...), R={len(case.theta)}; got {tuple(old.shape)} of "
                f"{old.dtype}, then {tuple(new.shape)} of {new.dtype}"
            )
        if new.is_floating_point() and not bool(new.isfinite().all()):
            raise LawError(f"state {name} is not finite after {case.num_updates} updates")


def a_replica_descends_as_if_alone(case: OptimizerCase) -> None:
    """Replica r of a batched run is the run alone, from the start and if the others leave in the middle."""
    half = case.num_updates // 2
    first = case.run(half)
    together = case.updates(first.theta, first.state, range(half, case.num_updates))
    for r in range(len(case.theta)):
        alone, rows = case.replicas([r]), slice(r, r + 1)
        _check_replica(alone.run(), together, rows, f"of replica {r} alone")
        state = {name: tensor[rows] for name, tensor in first.state.items()}
        rest = alone.updates(first.theta[rows], state, range(half, case.num_updates))
        _check_replica(rest, together, rows, f"of replica {r}, alone after {count(half, 'update')},")


def _check_replica(alone: Update, together: Update, rows: slice, what: str) -> None:
    """Compare the last update of one replica with its row beside others: theta, damping and costs."""
    assert_close(alone.theta, together.theta[rows], f"theta {what}", RELATIVE)
    if together.damping is not None and alone.damping is not None:
        assert_close(alone.damping, together.damping[rows], f"the damping {what}", RELATIVE)
    for name in COSTS:
        own, beside = float(getattr(alone, name)), float(getattr(together, name)[rows])
        if own != beside:
            raise LawError(f"the number of {name.replace('_', ' ')} {what} is {own:g}, beside others {beside:g}")


OPTIMIZER_LAWS: tuple[Law[OptimizerCase], ...] = (
    Law("an update changes nothing in place", "Probes and records would see other values.", an_update_changes_nothing),
    Law("a run can be repeated", "A run could not be resumed; keep all in the state.", a_run_can_be_repeated),
    Law("the state is tensors by replica", "A checkpoint could not hold it.", the_state_is_tensors_by_replica),
    Law("a replica descends as if alone", "A sweep would differ from its runs alone.", a_replica_descends_as_if_alone),
)
