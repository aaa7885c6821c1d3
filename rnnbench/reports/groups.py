"""Groups of runs that agree in some fields, and their statistics."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rnnbench.records.quantiles import median
from rnnbench.reports import fields
from rnnbench.reports.fields import ABSENT, Value
from rnnbench.reports.runs import OUTCOMES, Measure, Outcome, Run
from rnnbench.reports.statistics import (
    NotYetSolved,
    difference_interval,
    kaplan_meier,
    wilson_interval,
)


@dataclass(frozen=True)
class Group:
    """Runs that agree in some fields.

    Attributes:
        names: Names of the fields.
        values: Values of the fields.
        runs: The runs, at least one.
    """

    names: tuple[str, ...]
    values: tuple[Value, ...]
    runs: tuple[Run, ...]

    @cached_property
    def label(self) -> str:
        """Short name of the group, as in "nag, lr=0.01"."""
        return fields.label(self.names, self.values)

    @cached_property
    def task(self) -> str:
        """Label of the fields under task.; "" if the group has none."""
        return self._part(of_task=True)

    @cached_property
    def setting(self) -> str:
        """Label of all other fields; "" if the group has none."""
        return self._part(of_task=False)

    def _part(self, *, of_task: bool) -> str:
        pairs = [
            (name, value)
            for name, value in zip(self.names, self.values, strict=True)
            if fields.is_of_task(name) == of_task and value != ABSENT
        ]
        return fields.label([name for name, _ in pairs], [value for _, value in pairs]) if pairs else ""

    @cached_property
    def counts(self) -> dict[Outcome, int]:
        """Number of runs with each outcome."""
        outcomes = [run.outcome for run in self.runs]
        return {outcome: outcomes.count(outcome) for outcome in OUTCOMES}

    @property
    def num_solved(self) -> int:
        """Number of solved runs."""
        return self.counts["solved"]

    @property
    def share_solved(self) -> float:
        """Share of solved runs; unfinished and failed runs count as not solved."""
        return self.num_solved / len(self.runs)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the share of solved runs."""
        return wilson_interval(self.num_solved, len(self.runs))

    def is_better_than(self, other: "Group") -> bool:
        """Whether the share solved is significantly larger than that of another group, at the 95 % level."""
        return difference_interval((self.num_solved, len(self.runs)), (other.num_solved, len(other.runs)))[0] > 0

    @property
    def median_updates(self) -> float | None:
        """Updates by which half of the runs are solved; None: fewer are."""
        return self.not_yet_solved("updates").time(0.5)

    def median_cost(self, measure: Measure) -> float:
        """Cost by which half of the runs are solved; infinite: fewer are."""
        return _or_infinite(self.not_yet_solved(measure).time(0.5))

    def not_yet_solved(self, measure: Measure) -> NotYetSolved:
        """Estimate the share of runs not yet solved as a function of cost."""
        return kaplan_meier([run.time(measure) for run in self.runs], [run.outcome == "solved" for run in self.runs])

    @cached_property
    def loss(self) -> float | None:
        """Median over the runs of the loss at the last evaluation; infinite if most runs diverged."""
        return median([run.last_loss for run in self.runs])

    @cached_property
    def error_rate(self) -> float | None:
        """Median over the runs of the error rate at the last evaluation."""
        return median([run.summary.error_rate for run in self.runs])

    @cached_property
    def average(self) -> tuple[float | None, float | None] | None:
        """Medians of loss and error rate of the average of the weights; None: no run keeps one."""
        found = [run.average for run in self.runs if run.average is not None]
        return (median([loss for loss, _ in found]), median([rate for _, rate in found])) if found else None

    @cached_property
    def baseline_loss(self) -> float | None:
        """Loss of the constant predictor; None: it differs between the runs."""
        return _common([run.summary.baseline_loss for run in self.runs])

    @cached_property
    def baseline_error_rate(self) -> float | None:
        """Error rate of the constant predictor; None: it differs between the runs."""
        return _common([run.summary.baseline_error_rate for run in self.runs])


def make_groups(runs: Sequence[Run], names: Sequence[str]) -> list[Group]:
    """Group the runs by the values of some fields; groups are sorted by these values."""
    members: dict[tuple[Value, ...], list[Run]] = {}
    for run in runs:
        members.setdefault(tuple(run.fields.get(name, ABSENT) for name in names), []).append(run)
    ordered = sorted(members, key=lambda values: [fields.order(value) for value in values])
    return [Group(tuple(names), values, tuple(members[values])) for values in ordered]


def best_first(groups: Sequence[Group]) -> list[Group]:
    """Sort groups by share solved, then by the median number of sequences to the solution, then by loss."""
    return sorted(groups, key=rank)


def rank(group: Group) -> tuple[float, float, float]:
    """Key by which groups are sorted, the best first."""
    return (-group.share_solved, group.median_cost("sequences"), _or_infinite(group.loss))


def of_stage(groups: Sequence[Group], stage: str) -> list[Group]:
    """Return the groups of one stage of a tuning; none if the groups do not distinguish stages."""
    return [group for group in groups if (fields.STAGE, stage) in zip(group.names, group.values, strict=True)]


def by_task(groups: Sequence[Group]) -> list[list[Group]]:
    """Return the groups of each task variant, in order."""
    of_task: dict[str, list[Group]] = {}
    for group in groups:
        of_task.setdefault(group.task, []).append(group)
    return list(of_task.values())


def _or_infinite(value: float | None) -> float:
    return np.inf if value is None else value


def _common(values: Sequence[float | None]) -> float | None:
    different = set(values)
    return different.pop() if len(different) == 1 else None
