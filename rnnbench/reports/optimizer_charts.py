"""Optimizers on several tasks: a map of what each solves, and performance profiles."""

from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from rnnbench.reports import drawing
from rnnbench.reports.chart import Cell, Chart
from rnnbench.reports.contest import Contest, make_contest
from rnnbench.reports.groups import Group
from rnnbench.reports.heat_map import COLOR_MAP, draw_missing, text_color
from rnnbench.reports.runs import Measure
from rnnbench.reports.statistics import performance_profile

_MEASURES: tuple[Measure, ...] = ("sequences", "seconds")
_MAX_SIDE = 40  # solvers or problems in one map
_MAP_CAPTION = (
    "In each cell: solved / runs of the optimizer's best setting, and the 95 % interval (Wilson). Hatched: not tried. "
    "A setting that was confirmed with fresh seeds counts with these; any other is the best of several, partly by luck."
)
_PROFILE_CAPTION = (
    "Dolan and Moré (2002): the share of {count} problems that an optimizer solves with at most so many times the "
    "{measure} of the best one on each. Costs are medians over the runs of its best setting; an optimizer that solves "
    "fewer than half of its runs does not solve the problem.{shared}"
)
_SHARED = " Runs that were trained together share the clock."


def optimizer_charts(groups: Sequence[Group]) -> Iterator[Chart]:
    """Yield the map and the profiles if there are several optimizers, or sweeps, and several problems."""
    contest = make_contest(groups)
    if contest is None:
        return
    if max(len(contest.solvers), len(contest.problems)) <= _MAX_SIDE:
        yield _map(contest)
    for measure in _MEASURES:
        chart = _profile(contest, measure)
        if chart is not None:
            yield chart


def _map(contest: Contest) -> Chart:
    rows: list[tuple[Cell, ...]] = []
    for solver in contest.solvers:
        for problem in contest.problems:
            group = contest.best.get((solver, problem))
            numbers: tuple[Cell, ...] = (
                (None,) * 5
                if group is None
                else (
                    *(group.share_solved, *group.interval),
                    *(group.num_solved, len(group.runs)),
                )
            )
            rows.append((_line(solver), _line(problem), "not tried" if group is None else group.setting, *numbers))

    def paint(axes: Axes) -> None:
        shares = np.full((len(contest.solvers), len(contest.problems)), np.nan)
        for (solver, problem), group in contest.best.items():
            shares[contest.solvers.index(solver), contest.problems.index(problem)] = group.share_solved
        color_map = matplotlib.colormaps[COLOR_MAP]
        axes.pcolormesh(np.ma.masked_invalid(shares), cmap=color_map, vmin=0, vmax=1, edgecolors="face", linewidth=0.3)
        for y, solver in enumerate(contest.solvers):
            for x, problem in enumerate(contest.problems):
                _paint_cell(axes, x, y, contest.best.get((solver, problem)))
        axes.set_xticks(np.arange(len(contest.problems)) + 0.5, [drawing.plain(each) for each in contest.problems])
        axes.set_yticks(np.arange(len(contest.solvers)) + 0.5, [drawing.plain(_line(each)) for each in contest.solvers])
        axes.tick_params(length=0)
        axes.tick_params(axis="x", labelsize=7)
        axes.spines[:].set_visible(False)
        axes.invert_yaxis()

    longest = max(len(line) for problem in contest.problems for line in problem.split("\n"))
    width = 1.4 + len(contest.problems) * max(0.62, 0.075 * longest)
    return Chart(
        name="optimizers_on_problems",
        title="What each optimizer solves",
        caption=_MAP_CAPTION,
        columns=("optimizer", "problem", "setting", "share_solved", "low_95", "high_95", "solved", "runs"),
        rows=rows,
        picture=drawing.Picture(paint, width=max(5.2, width), height=max(2.4, 1.1 + 0.46 * len(contest.solvers))),
    )


def _paint_cell(axes: Axes, x: int, y: int, group: Group | None) -> None:
    """Write the numbers of a cell, or mark it as not tried."""
    if group is None:
        draw_missing(axes, x + 0.5, y + 0.5, "not tried")
        return
    low, high = (f"{100 * bound:.0f}" for bound in group.interval)
    place: dict[str, Any] = {"color": text_color(group.share_solved), "ha": "center", "va": "center"}
    axes.text(x + 0.5, y + 0.36, f"{group.num_solved}/{len(group.runs)}", fontsize=8, **place)
    axes.text(x + 0.5, y + 0.72, f"{low} to {high} %", fontsize=6, **place)


def _profile(contest: Contest, measure: Measure) -> Chart | None:
    """The profile over the problems that all solvers have tried; None: there are fewer than two, or none is solved."""
    problems, costs = contest.costs(measure)
    profile = performance_profile(costs)
    factors = [factor for steps in profile.values() for factor, _ in steps]
    if len(problems) < 2 or not factors:
        return None
    end = 1.1 * max(*factors, 2.0)
    lines = {solver: profile_corners(steps, end) for solver, steps in profile.items()}
    shown = sorted(lines, key=lambda solver: -sum(share for _, share in lines[solver]))[: drawing.MAX_SERIES]
    note = "" if len(shown) == len(lines) else f" {len(shown)} of {len(lines)} optimizers are drawn."

    def paint(axes: Axes) -> None:
        for solver, color in zip(shown, drawing.COLORS, strict=False):
            x, y = zip(*lines[solver], strict=True)
            axes.step(x, y, where="post", color=color, linewidth=1.6, label=drawing.plain(_line(solver)))
        drawing.set_share_axis(axes, "problems solved")
        axes.set_xscale("log", base=2)
        axes.set_xlim(1, end)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel(f"{measure}, as a multiple of the best optimizer's")

    return Chart(
        name=f"profile_by_{measure}",
        title=f"Performance profile by {measure}",
        caption=_PROFILE_CAPTION.format(
            count=len(problems), measure=measure, shared=_SHARED if measure == "seconds" else ""
        )
        + note,
        columns=("optimizer", f"factor_of_{measure}", "share_of_problems"),
        rows=[(_line(solver), *corner) for solver, corners in lines.items() for corner in corners],
        picture=drawing.Picture(paint),
    )


def profile_corners(steps: Sequence[tuple[float, float]], end: float) -> list[tuple[float, float]]:
    """The corners of a profile from factor 1 to the end."""
    first = steps[0][1] if steps and steps[0][0] == 1 else 0.0
    later = [step for step in steps if step[0] > 1]
    return [(1.0, first), *later, (end, later[-1][1] if later else first)]


def _line(label: str) -> str:
    return label.replace("\n", ", ")
