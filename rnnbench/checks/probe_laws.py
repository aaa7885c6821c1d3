"""Laws of a probe, on a small net in float64."""

from dataclasses import dataclass

import torch

from rnnbench.checks.law import Law, LawError, assert_close
from rnnbench.checks.optim_laws import OptimizerCase
from rnnbench.probes.base import PreviousUpdate, Probe, Reading, View

RELATIVE, SMALLEST = 1e-6, 1e-2
"""Largest relative difference of a number between a replica alone and beside others, and the size below which a number
counts as this size: of numbers that are differences of nearly equal ones, such as residuals, most is rounding."""


@dataclass(frozen=True)
class ProbeCase:
    """A probe, and the run that it watches."""

    probe: Probe
    run: OptimizerCase

    def view(self, run: OptimizerCase) -> View:
        """What the probe sees after the second update of a run."""
        first = run.updates(run.theta, run.optimizer.first_state(run.theta), range(1))
        update = run.updates(first.theta, first.state, range(1, 2))
        return View(
            run.problem.model,
            run.problem.task.num_steps,
            first.theta,
            update,
            num_logged=1,
            previous=PreviousUpdate(run.theta, first.gradient.gradient),
            dependency=run.problem.task.dependency,
        )

    def read(self, run: OptimizerCase) -> Reading:
        """What the probe reads after the second update of a run."""
        return self.probe.capture(self.view(run))()


def numbers_have_columns(case: ProbeCase) -> None:
    """Every number has a declared column, and one value per replica."""
    columns = case.probe.columns(case.run.problem.model, case.run.problem.task)
    for tag, values in case.read(case.run).scalars.items():
        if tag not in columns:
            raise LawError(f"reads {tag}, which is not among its columns {', '.join(columns)}")
        if tuple(values.shape) != (len(case.run.theta),):
            raise LawError(f"{tag} must have one number per replica, got shape {tuple(values.shape)}")


def a_reading_can_wait(case: ProbeCase) -> None:
    """What was captured is not changed by the next update, which may run before it is read."""
    expected, view = case.read(case.run), case.view(case.run)
    read, theta, state = case.probe.capture(view), view.update.theta, view.update.state
    del view  # which gives the buffers of its update back, as in a run
    case.run.updates(theta, state, range(2, 4))
    found = read()
    for tag, values in expected.scalars.items():
        if not torch.equal(values.isnan(), found.scalars[tag].isnan()):
            raise LawError(f"{tag} differs if it is read after the next update; copy what is read in capture")
        assert_close(found.scalars[tag], values, f"{tag}, read after the next update,", RELATIVE, SMALLEST)


def a_replica_is_read_as_if_alone(case: ProbeCase) -> None:
    """The numbers of a replica do not depend on the others."""
    together = case.read(case.run)
    for r in range(len(case.run.theta)):
        alone = case.read(case.run.replicas([r]))
        if alone.scalars.keys() != together.scalars.keys():
            raise LawError(f"replica {r} alone has other columns")
        for tag, values in together.scalars.items():
            assert_close(alone.scalars[tag], values[r : r + 1], f"{tag} of replica {r} alone", RELATIVE, SMALLEST)


PROBE_LAWS: tuple[Law[ProbeCase], ...] = (
    Law("numbers have their columns", "They could not be recorded.", numbers_have_columns),
    Law("a reading can wait for the next update", "It would show another update.", a_reading_can_wait),
    Law("a replica is read as if alone", "A sweep would show other numbers.", a_replica_is_read_as_if_alone),
)
