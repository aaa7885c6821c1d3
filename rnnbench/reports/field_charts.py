"""Charts over one field: the share of solved runs, and the last loss against the learning rate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from matplotlib.axes import Axes

from rnnbench.records.quantiles import order_quantiles
from rnnbench.reports import drawing, fields
from rnnbench.reports.chart import Cell, Chart, file_name, series
from rnnbench.reports.groups import Group, make_groups
from rnnbench.reports.runs import Run

LEARNING_RATE = "optim.lr"

_DODGE = 0.012  # share of the axis by which neighbouring series are shifted, so that no bar hides another


@dataclass(frozen=True)
class Point:
    """One value of the field in one series.

    Attributes:
        label: Label of the series.
        x: Value of the field.
        y: Value of the series.
        low: Lower end of the bar.
        high: Upper end of the bar.
        amounts: The two counts in the last columns of the CSV file.
    """

    label: str
    x: float
    y: float
    low: float
    high: float
    amounts: tuple[int, int]


def success_charts(runs: Sequence[Run], names: Sequence[str]) -> Iterator[Chart]:
    """Yield a chart of the share solved against each numeric field."""
    for name in names:
        with_number = _with_number(runs, name)
        lines, note = series(with_number, [other for other in names if other != name])
        points = [_success(line, group) for line in lines for group in make_groups(line.runs, [name])]
        if len({point.x for point in points}) < 2:
            continue

        def paint(axes: Axes, points: Sequence[Point] = points, name: str = name) -> None:
            _paint_points(axes, points, name, 1.0)
            drawing.set_share_axis(axes, "runs solved")

        yield Chart(
            name=file_name("success_against", name),
            title=f"Share of runs solved against {name}",
            caption=f"The bars are 95 % intervals (Wilson).{note}",
            columns=("group", name, "share_solved", "low_95", "high_95", "solved", "runs"),
            rows=[(p.label, p.x, p.y, p.low, p.high, *p.amounts) for p in points],
            picture=drawing.Picture(paint),
        )


def sensitivity_charts(runs: Sequence[Run], names: Sequence[str]) -> Iterator[Chart]:
    """Yield a chart of the last loss against the learning rate."""
    with_rate = _with_number(runs, LEARNING_RATE)
    lines, note = series(with_rate, [name for name in names if name != LEARNING_RATE])
    groups = [(line, group) for line in lines for group in make_groups(line.runs, [LEARNING_RATE])]
    points = [point for line, group in groups if (point := _last_loss(line, group)) is not None]
    if len({point.x for point in points}) < 2 or not any(np.isfinite(point.y) for point in points):
        return
    baselines = sorted({run.summary.baseline_loss for run in with_rate if run.summary.baseline_loss is not None})

    def paint(axes: Axes) -> None:
        finite = [value for p in points for value in (p.y, p.low, p.high) if np.isfinite(value)]
        top = 2 * max([*finite, *baselines])
        _paint_points(axes, points, LEARNING_RATE, top)
        drawing.mark_baselines(axes, baselines)
        axes.set_ylabel("last evaluation loss")
        axes.grid(visible=True)
        if min(finite) > 0:
            axes.set_yscale("log")
            axes.set_ylim(0.7 * min([*finite, *baselines]), 1.2 * top)

    rows: list[tuple[Cell, ...]] = [(p.label, p.x, p.y, p.low, p.high, *p.amounts) for p in points]
    rows += [("constant predictor", None, baseline, None, None, None, None) for baseline in baselines]
    yield Chart(
        name="learning_rate_sensitivity",
        title="Sensitivity to the learning rate",
        caption="Median of the loss at the last evaluation; the bars cover the middle 80 % of the runs. "
        f"A cross at the top: most runs diverged.{note}",
        columns=("group", LEARNING_RATE, "median_loss", "quantile_10", "quantile_90", "diverged", "runs"),
        rows=rows,
        picture=drawing.Picture(paint),
    )


def _with_number(runs: Sequence[Run], name: str) -> list[Run]:
    """Return the runs in which a field is a number."""
    return [run for run in runs if fields.is_number(run.fields.get(name))]


def _number(group: Group) -> float:
    """Return the value of a group's only field, a number."""
    return float(cast(float, group.values[0]))


def _success(line: Group, group: Group) -> Point:
    return Point(
        line.label, _number(group), group.share_solved, *group.interval, amounts=(group.num_solved, len(group.runs))
    )


def _last_loss(line: Group, group: Group) -> Point | None:
    """Return the last losses of a group as a point; None: no run was evaluated."""
    losses = np.array([run.last_loss for run in group.runs if run.last_loss is not None], dtype=np.float64)
    if losses.size == 0:
        return None
    low, median, high = order_quantiles(losses, [0.1, 0.5, 0.9])
    amounts = (group.counts["diverged"], len(group.runs))
    return Point(line.label, _number(group), float(median), float(low), float(high), amounts)


def _paint_points(axes: Axes, points: Sequence[Point], name: str, top: float) -> None:
    """Draw a line with bars for each series; infinite values become crosses at the top."""
    every_x = [point.x for point in points]
    drawing.set_value_axis(axes, name, every_x)
    labels = list(dict.fromkeys(point.label for point in points))
    for number, (label, color) in enumerate(zip(labels, drawing.COLORS, strict=False)):
        line = [point for point in points if point.label == label]
        x = np.array([_moved(point.x, every_x, number - (len(labels) - 1) / 2) for point in line])
        y, low, high = (np.minimum([getattr(p, part) for p in line], top) for part in ("y", "low", "high"))
        finite = np.isfinite([point.y for point in line])
        axes.vlines(x[finite], low[finite], high[finite], color=color, linewidth=1.4, alpha=0.7)
        axes.plot(x[finite], y[finite], "o-", color=color, markersize=4, linewidth=1.6, label=drawing.plain(label))
        axes.plot(x[~finite], y[~finite], "x", color=color, markersize=7, markeredgewidth=1.8)


def _moved(x: float, every_x: Sequence[float], places: float) -> float:
    """Shift a value along its axis by a number of `_DODGE` places."""
    low, high = min(every_x), max(every_x)
    if drawing.is_wide(every_x):
        return float(x * (high / low) ** (_DODGE * places))
    return float(x + (high - low) * _DODGE * places)
