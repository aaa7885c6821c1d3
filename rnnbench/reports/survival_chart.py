"""The share of runs that are not yet solved, against sequences."""

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes

from rnnbench.reports import drawing
from rnnbench.reports.chart import Cell, Chart, select_drawn
from rnnbench.reports.groups import Group
from rnnbench.reports.statistics import NotYetSolved

_CAPTION = (
    "Kaplan-Meier estimate: each step down is a solved run. A tick marks where an unsolved run ended or stands now; a "
    "diverged run counts as never solved."
)


def survival_charts(groups: Sequence[Group]) -> Iterator[Chart]:
    """Yield one figure, if any run has processed a sequence."""
    shown, note = select_drawn(groups)
    curves = [(group.label, group.not_yet_solved("sequences"), _end(group)) for group in shown]
    curves = [curve for curve in curves if curve[2] > 0]
    if not curves:
        return
    rows: list[tuple[Cell, ...]] = []
    for label, curve, end in curves:
        x, y = _steps(curve, end)
        rows += [(label, "estimate", *point) for point in zip(x, y, strict=True)]
        rows += [(label, "ended unsolved", float(at), curve.share(at)) for at in curve.censored]

    def paint(axes: Axes) -> None:
        for (label, curve, end), color in zip(curves, drawing.COLORS, strict=False):
            axes.step(*_steps(curve, end), where="post", color=color, linewidth=1.6, label=drawing.plain(label))
            marks = [curve.share(at) for at in curve.censored]
            axes.plot(curve.censored, marks, "|", color=color, markersize=8, markeredgewidth=1.2)
        drawing.set_share_axis(axes, "runs not yet solved")
        drawing.set_amount_axis(axes, "sequences processed", [end for _, _, end in curves])

    yield Chart(
        name="not_yet_solved",
        title="Runs not yet solved",
        caption=_CAPTION + note,
        columns=("group", "kind", "sequences", "share_not_yet_solved"),
        rows=rows,
        picture=drawing.Picture(paint),
    )


def _end(group: Group) -> float:
    """Return the last time with information on a group: the last solution or the longest run."""
    return max(float(at) if np.isfinite(at := run.time("sequences")) else run.end("sequences") for run in group.runs)


def _steps(curve: NotYetSolved, end: float) -> tuple[list[float], list[float]]:
    """Return the corners of the estimate, from share 1 at time 0 to the end."""
    last = float(curve.shares[-1]) if curve.shares.size else 1.0
    return [0.0, *curve.times.tolist(), end], [1.0, *curve.shares.tolist(), last]
