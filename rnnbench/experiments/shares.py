"""Shares of runs that are solved: at each learning rate, at the best of them, and how two of them differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.report.statistics import difference_interval

Rows = Sequence[Mapping[str, Any]]
"""Runs: of each its learning rate `lr`, whether it is `solved`, and what else an experiment keeps of it."""


def by_rate(runs: Rows) -> tuple[list[float], list[float]]:
    """Learning rates, and the share solved at each."""
    groups = _groups(runs)
    return list(groups), [sum(group) / len(group) for group in groups.values()]


def best_rate(runs: Rows) -> tuple[int, int]:
    """Solved runs and runs at the learning rate with most of them."""
    return max((sum(group), len(group)) for group in _groups(runs).values())


def difference(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, tuple[float, float]]:
    """Of two shares, each as solved runs and runs, with its 95 % interval."""
    return first[0] / first[1] - second[0] / second[1], difference_interval(first, second)


def _groups(runs: Rows) -> dict[float, list[bool]]:
    """Learning rates, ascending, and which of their runs are solved."""
    rates = sorted({run["lr"] for run in runs})
    return {rate: [run["solved"] for run in runs if run["lr"] == rate] for rate in rates}
