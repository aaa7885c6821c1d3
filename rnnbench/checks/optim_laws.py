"""Laws of an optimizer, on a small net in float64."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from rnnbench.checks.law import Law, LawError, assert_close
from rnnbench.optim.base import Optimizer, State, Update
from rnnbench.training.problem import Problem

NUM_UPDATES = 4
RELATIVE = 1e-8
"""Largest difference of theta after `NUM_UPDATES` updates, relative to its largest entry."""


@dataclass(frozen=True)
class OptimizerCase:
    """An optimizer, with a problem and the parameters at which it starts."""

    optimizer: Optimizer
    problem: Problem
    theta: Tensor

    def replicas(self, index: Sequence[int]) -> "OptimizerCase":
        """The case of some replicas."""
        rows = torch.tensor(index)
        return OptimizerCase(self.optimizer.replicas(rows), self.problem.replicas(index), self.theta[rows])

    def updates(self, theta: Tensor, state: State, numbers: range) -> Update:
        """Make updates; returns the last."""
        for number in numbers:
            update = self.optimizer.update(theta, state, number, self.problem.draw(number))
            theta, state = update.theta, update.state
        return update

    def run(self) -> Update:
        """Make `NUM_UPDATES` updates from the start; returns the last."""
        return self.updates(self.theta, self.optimizer.initial_state(self.theta), range(NUM_UPDATES))


def an_update_changes_nothing(case: OptimizerCase) -> None:
    """Theta, state and hyperparameters are left as they were."""
    state = case.optimizer.initial_state(case.theta)
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
        raise LawError(f"theta after {NUM_UPDATES} updates differs between two runs: the optimizer keeps something")


def the_state_is_tensors_by_replica(case: OptimizerCase) -> None:
    """The state consists of finite tensors with a row per replica, of names, shapes and types that do not change."""
    before = case.optimizer.initial_state(case.theta)
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
            raise LawError(f"state {name} is not finite after {NUM_UPDATES} updates")


def a_replica_descends_as_if_alone(case: OptimizerCase) -> None:
    """Replica r of a batched run is the run alone, from the start and if the others leave in the middle."""
    together = case.run()
    first = case.updates(case.theta, case.optimizer.initial_state(case.theta), range(2))
    for r in range(len(case.theta)):
        alone, rows = case.replicas([r]), slice(r, r + 1)
        assert_close(alone.run().theta, together.theta[rows], f"theta of replica {r} alone", RELATIVE)
        state = {name: tensor[rows] for name, tensor in first.state.items()}
        rest = alone.updates(first.theta[rows], state, range(2, NUM_UPDATES))
        assert_close(rest.theta, together.theta[rows], f"theta of replica {r}, alone after two updates", RELATIVE)


OPTIMIZER_LAWS: tuple[Law[OptimizerCase], ...] = (
    Law("an update changes nothing in place", "Probes and records would see other values.", an_update_changes_nothing),
    Law("a run can be repeated", "A run could not be resumed; keep all in the state.", a_run_can_be_repeated),
    Law("the state is tensors by replica", "A checkpoint could not hold it.", the_state_is_tensors_by_replica),
    Law("a replica descends as if alone", "A sweep would differ from its runs alone.", a_replica_descends_as_if_alone),
)
