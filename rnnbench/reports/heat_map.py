"""Heat maps of the share of solved runs over two fields."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from rnnbench.reports import drawing, fields
from rnnbench.reports.chart import Cell, Chart, file_name
from rnnbench.reports.groups import Group, make_groups
from rnnbench.reports.runs import Run

MAX_MAPS = 4
"""Maximum number of maps on a page: those of the first pairs of fields."""

MAX_VALUES = 24
"""Maximum number of values of a field on an axis."""

LEAST_FILLED = 0.25
"""Least share of the cells of a map that have runs; two fields with random values would make an empty map."""

COLOR_MAP = "cividis"
"""Colors of shares: perceptually uniform, also for color-blind readers."""


def heat_maps(runs: Sequence[Run], names: Sequence[str]) -> Iterator[Chart]:
    """Yield maps over pairs of fields; without a task field in the pair, one map per task variant, else one map."""
    pairs = [pair for pair in itertools.combinations(names, 2) if all(_fits(runs, name) for name in pair)]
    pairs = [pair for pair in pairs if _is_filled(runs, pair)]
    pairs.sort(key=lambda pair: any(map(fields.is_of_task, pair)))
    yield from itertools.islice(itertools.chain.from_iterable(_maps(runs, names, *pair) for pair in pairs), MAX_MAPS)


def _maps(runs: Sequence[Run], names: Sequence[str], down: str, across: str) -> Iterator[Chart]:
    """Yield the maps of one pair of fields."""
    of_task = [] if any(map(fields.is_of_task, (down, across))) else [name for name in names if fields.is_of_task(name)]
    tasks = make_groups(runs, of_task)
    if len(tasks) > MAX_MAPS - 1:
        of_task, tasks = [], make_groups(runs, ())
    others = [name for name in names if name not in (down, across, *of_task)]
    note = f" Runs with different {', '.join(others)} are combined." if others else ""
    for task in tasks:
        groups = make_groups(task.runs, [down, across])
        rows: list[tuple[Cell, ...]] = [
            (
                *map(fields.format_value, group.values),
                group.share_solved,
                *group.interval,
                group.num_solved,
                len(group.runs),
            )
            for group in groups
        ]
        where = (task.task,) if task.task else ()
        yield Chart(
            name=file_name("share_solved_over", down, "and", across, *where),
            title=", ".join((f"Share of runs solved over {down} and {across}", *where)),
            caption=f"In each cell: solved / runs.{note}",
            columns=(down, across, "share_solved", "low_95", "high_95", "solved", "runs"),
            rows=rows,
            picture=_picture(groups, down, across),
        )


def _fits(runs: Sequence[Run], name: str) -> bool:
    return 2 <= len({run.fields.get(name, fields.ABSENT) for run in runs}) <= MAX_VALUES


def _is_filled(runs: Sequence[Run], names: Sequence[str]) -> bool:
    """Whether enough pairs of values have runs."""
    pairs = {tuple(run.fields.get(name, fields.ABSENT) for name in names) for run in runs}
    cells = math.prod(len({pair[at] for pair in pairs}) for at in range(len(names)))
    return len(pairs) >= LEAST_FILLED * cells


def _picture(groups: Sequence[Group], down: str, across: str) -> drawing.Picture:
    ys, xs = (sorted({group.values[at] for group in groups}, key=fields.order) for at in (0, 1))
    shares = np.full((len(ys), len(xs)), np.nan)
    for group in groups:
        shares[ys.index(group.values[0]), xs.index(group.values[1])] = group.share_solved
    color_map = matplotlib.colormaps[COLOR_MAP]

    def paint(axes: Axes) -> None:
        # cells as shapes, since a bitmap inside the SVG would be blurred
        axes.pcolormesh(np.ma.masked_invalid(shares), cmap=color_map, vmin=0, vmax=1, edgecolors="face", linewidth=0.3)
        for group in groups:
            place = xs.index(group.values[1]) + 0.5, ys.index(group.values[0]) + 0.5
            text, color = f"{group.num_solved}/{len(group.runs)}", text_color(group.share_solved)
            axes.text(*place, text, color=color, ha="center", va="center", fontsize=8)
        axes.set_xticks(np.arange(len(xs)) + 0.5, _words(xs), rotation=_rotation(xs))
        axes.set_yticks(np.arange(len(ys)) + 0.5, _words(ys))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set(xlabel=across, ylabel=down)

    return drawing.Picture(paint, width=max(5.2, 1.4 + 0.5 * len(xs)), height=max(2.4, 1.2 + 0.36 * len(ys)))


def text_color(share: float) -> str:
    """Return a color that can be read on the color of a share."""
    return "#ffffff" if share < 0.55 else "#000000"


def draw_missing(axes: Axes, x: float, y: float, reason: str) -> None:
    """Hatch a cell that has no runs.

    Args:
        axes: Axes of the map.
        x: Center of the cell.
        y: Center of the cell.
        reason: Why it has none, which is written into it.
    """
    style: dict[str, Any] = {
        "fill": False,
        "hatch": "////",
        "edgecolor": drawing.FOREGROUND,
        "alpha": 0.4,
        "linewidth": 0,
    }
    axes.add_patch(Rectangle((x - 0.47, y - 0.47), 0.94, 0.94, **style))
    back = {"facecolor": "#ffffff", "edgecolor": "none", "pad": 1.0}
    axes.text(x, y, reason, fontsize=6, ha="center", va="center", color="#000000", bbox=back)


def _rotation(values: Sequence[fields.Value]) -> float:
    """Return the rotation of tick labels; long labels are rotated so that they do not overlap."""
    return 30.0 if sum(map(len, _words(values))) > 60 else 0.0


def _words(values: Sequence[fields.Value]) -> list[str]:
    return [drawing.plain(fields.format_value(value)) for value in values]
