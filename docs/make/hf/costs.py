"""Costs of solutions: their quartiles within a group of runs, and ratios between groups."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np

from rnnbench.records import wording
from rnnbench.records.errors import RecordError
from rnnbench.reports.runs import Run
from rnnbench.reports.statistics import kaplan_meier, location_ratio, wilson_interval
from rnnbench.reports.tables import percent_range

Cost = Literal["updates", "products", "sequences", "seconds"]

QUARTILES = (0.25, 0.5, 0.75)


def cost(run: Run, measure: Cost) -> float:
    """Return the cost until a run was solved or, if it was not, of the whole run; infinite if it diverged.

    Raises:
        RecordError: The number of products until the run was solved is unknown.
    """
    if measure != "products":
        return run.time(measure)
    if run.outcome != "solved":
        return np.inf if run.outcome == "diverged" else float(run.summary.products)
    if run.products_when_solved is None:
        raise RecordError(f"{run.folder}: the number of products until it was solved is unknown")
    return run.products_when_solved


def is_solved(run: Run) -> bool:
    """Whether a run was solved."""
    return run.outcome == "solved"


def quartiles(runs: Sequence[Run], measure: Cost) -> list[float | None]:
    """Return lower quartile, median and upper quartile of the cost of a solution (Kaplan-Meier); None: not reached."""
    curve = kaplan_meier([cost(run, measure) for run in runs], [is_solved(run) for run in runs])
    return [curve.time(share) for share in QUARTILES]


def say_solved(runs: Sequence[Run]) -> str:
    """Format the share solved with its Wilson interval: "3 of 4 (30 .. 95 %)"."""
    solved = sum(map(is_solved, runs))
    return f"{solved} of {len(runs)} ({percent_range(wilson_interval(solved, len(runs)))})"


def say_cost(runs: Sequence[Run], measure: Cost) -> str:
    """Format median (lower .. upper quartile); if fewer than half are solved, the smallest cost of an unsolved run."""
    low, median, high = quartiles(runs, measure)
    say = partial(_say, measure=measure)
    if median is None:
        return f"> {say(min(cost(run, measure) for run in runs if not is_solved(run)))}"
    if len(runs) == 1:
        return say(median)
    return f"{say(median)} ({say(low)} .. {'-' if high is None else say(high)})"


def say_ratio(runs: Sequence[Run], base: Sequence[Run]) -> str:
    """Format the ratio of sequences to the solution to those of base runs, with its 95 % interval.

    Unsolved runs count as infinite.
    """
    both = [[cost(run, "sequences") if is_solved(run) else np.inf for run in each] for each in (runs, base)]
    ratio, low, high = location_ratio(*both)
    if not np.isfinite(ratio):
        return f"> {low:.2f}" if 0 < low < np.inf else "-"
    return f"{ratio:.2f} ({low:.2f} .. {_factor(high)})" if low > 0 else f"{ratio:.2f}"


def _factor(value: float) -> str:
    return "-" if not np.isfinite(value) else f"{value:.2f}"


def _say(value: float | None, *, measure: Cost) -> str:
    if value is None:
        return "-"
    return f"{value / 60:.1f}" if measure == "seconds" else wording.number(float(f"{value:.3g}"))
