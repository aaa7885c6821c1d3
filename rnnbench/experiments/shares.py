"""Shares of solved runs: at each learning rate, at the best learning rate, and differences of shares."""

from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.reports.statistics import difference_interval

Rows = Sequence[Mapping[str, Any]]
"""Runs, each with its learning rate `lr`, whether it is `solved`, and further values of the experiment."""


def by_rate(runs: Rows) -> tuple[list[float], list[float]]:
    """Return the learning rates and the share of solved runs at each."""
    groups = _groups(runs)
    return list(groups), [sum(group) / len(group) for group in groups.values()]


def best_rate(runs: Rows) -> tuple[int, int]:
    """Return the numbers of solved runs and of all runs at the learning rate that solves most runs."""
    return max((sum(group), len(group)) for group in _groups(runs).values())


def at_length(runs: Rows, length: int) -> Rows:
    """Return the runs whose `length` is a given one."""
    return [run for run in runs if run["length"] == length]


def difference(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, tuple[float, float]]:
    """Return the difference of two shares with its 95 % interval; a share is (solved runs, all runs)."""
    return first[0] / first[1] - second[0] / second[1], difference_interval(first, second)


def _groups(runs: Rows) -> dict[float, list[bool]]:
    """Return learning rate, ascending -> whether each of its runs is solved."""
    rates = sorted({run["lr"] for run in runs})
    return {rate: [run["solved"] for run in runs if run["lr"] == rate] for rate in rates}
