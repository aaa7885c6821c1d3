"""The best setting of every optimizer on every task: what maps and profiles of optimizers compare."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from rnnbench.records.tuning import CONFIRMATION
from rnnbench.reports import fields
from rnnbench.reports.groups import Group, best_first, of_stage
from rnnbench.reports.runs import Measure

SOLVERS = ("optim.name", fields.SWEEP)
"""Fields whose values are compared with each other."""

PROBLEMS = ("task.", "model.", "budget.")
"""Beginnings of the fields that make a problem: with two budgets one problem is two."""

_SHORT = {"task.sequence_length": "T"}


@dataclass(frozen=True)
class Contest:
    """Optimizers and problems.

    Attributes:
        solvers: Labels of the optimizers, or of the sweeps that are compared.
        problems: Labels of the tasks with their difficulty, and of the nets if these differ; parts on separate lines.
        best: Solver and problem -> the runs of its best setting; a pair that was not tried is missing. The setting is
            the best in the search if it has been confirmed with fresh seeds, which are then the runs.
    """

    solvers: Sequence[str]
    problems: Sequence[str]
    best: Mapping[tuple[str, str], Group]

    def costs(self, measure: Measure) -> tuple[list[str], dict[str, list[float]]]:
        """The median cost of a solution of every solver, on the problems that all solvers have tried.

        Returns:
            These problems; and solver -> its cost on each of them, infinite if fewer than half of its runs are solved.
        """
        common = [each for each in self.problems if all((solver, each) in self.best for solver in self.solvers)]
        return common, {
            solver: [self.best[solver, each].median_cost(measure) for each in common] for solver in self.solvers
        }


def make_contest(groups: Sequence[Group]) -> Contest | None:
    """Find the best setting of each solver on each problem; None: there are not at least two solvers and problems."""
    settings: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        settings.setdefault((_label(group, is_solver), _label(group, is_problem)), []).append(group)
    solvers, problems = (
        list(dict.fromkeys(_label(group, belongs) for group in sorted(groups, key=partial(_order, belongs))))
        for belongs in (is_solver, is_problem)
    )
    if min(len(solvers), len(problems)) < 2:
        return None
    best = {pair: best_first(of_stage(alike, CONFIRMATION) or alike)[0] for pair, alike in settings.items()}
    return Contest(solvers, problems, best)


def _order(belongs: Callable[[str], bool], group: Group) -> list[tuple[int, float, str]]:
    """The sort key of a group by the values of some fields."""
    return [fields.order(value) for name, value in zip(group.names, group.values, strict=True) if belongs(name)]


def is_solver(name: str) -> bool:
    """Whether a field says what is compared."""
    return name in SOLVERS


def is_problem(name: str) -> bool:
    """Whether a field says on what optimizers are compared."""
    return name.startswith(PROBLEMS)


def _label(group: Group, belongs: Callable[[str], bool]) -> str:
    """The values of some fields of a group, one on each line."""
    words = []
    for name, value in zip(group.names, group.values, strict=True):
        if belongs(name) and value != fields.ABSENT:
            key = _SHORT.get(name, name.rpartition(".")[2])
            is_named = key in ("name", fields.SWEEP)
            words.append(fields.format_value(value) if is_named else f"{key}={fields.format_value(value)}")
    return "\n".join(words)
