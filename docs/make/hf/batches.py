"""Cost of a solution against the sizes of batches: Hessian-free compared with first-order methods."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from docs.make.hf.costs import cost, quartiles, say_cost, say_solved
from docs.make.hf.results import provenance
from docs.make.markdown import table
from rnnbench.reports import drawing, fields
from rnnbench.reports.groups import Group, best_first, make_groups
from rnnbench.reports.runs import Run

CHART_NAME = "hf_batches"

_SIZES = ("optim.gradient_batch_size", "optim.curvature_batch_size", "optim.batch_size")


@dataclass(frozen=True)
class _Row:
    """Runs of one method with batches of one size.

    Attributes:
        method: Name in the table.
        series: Name of the line in the figure.
        size: Number of sequences in a gradient batch.
        group: The runs.
    """

    method: str
    series: str
    size: int
    group: Group


def _rows(runs: Sequence[Run]) -> list[_Row]:
    """Return rows for Hessian-free with each pair of batch sizes, and for first-order methods with each size.

    Other settings of a first-order method are the best ones at this size.
    """
    rows = []
    for own in make_groups(runs, ["optim.name", *_SIZES]):
        name, gradient, curvature, batch = map(fields.format_value, own.values)
        names = fields.grouping_fields([run.fields for run in own.runs])
        best = best_first(make_groups(own.runs, names))[0]
        if curvature != fields.ABSENT:
            share = 2 ** round(math.log2(int(gradient) / int(curvature)))  # 1000/62 and 250/15 are one line
            series = f"{name}, curvature on " + ("all of it" if share == 1 else f"1/{share} of it")
            rows.append(_Row(f"{name}, curvature {int(curvature):,}", series, int(gradient), best))
        else:
            settings = f" ({fields.label(best.names, best.values)})" if best.names else ""
            rows.append(_Row(f"{name}{settings}", name, int(batch), best))
    return rows


def batches_table(runs: Sequence[Run]) -> str:
    """Make a Markdown table with one row per method and size."""
    rows = [
        [
            row.method,
            f"{row.size:,}",
            say_solved(row.group.runs),
            *(say_cost(row.group.runs, measure) for measure in ("updates", "sequences")),
        ]
        for row in _rows(runs)
    ]
    columns = ["method", "gradient batch", "solved (95 %)", "updates", "sequences"]
    return f"{table(columns, rows)}\n\n{provenance(runs)}"


def draw_batches(runs: Sequence[Run]) -> str:
    """Draw sequences to the solution, median and quartiles, as SVG; hollow points: the median was not reached."""
    rows = _rows(runs)
    names = list(dict.fromkeys(row.series for row in rows))

    def paint(axes: Axes) -> None:
        for at, (name, color) in enumerate(zip(names, drawing.COLORS, strict=False)):
            shift = 1.03 ** (at - len(names) / 2)  # so that no bar hides another
            line = [(row.size * shift, _ends(row.group.runs)) for row in rows if row.series == name]
            reached = [(x, ends) for x, ends in line if ends[3]]
            axes.plot([x for x, _ in line], [e[1] for _, e in line], color=color, linewidth=1, alpha=0.6)
            axes.plot([x for x, _ in reached], [e[1] for _, e in reached], "o", color=color, label=drawing.plain(name))
            missed = [(x, ends) for x, ends in line if not ends[3]]
            axes.plot([x for x, _ in missed], [e[1] for _, e in missed], "o", color=color, fillstyle="none")
            axes.vlines([x for x, _ in line], [e[0] for _, e in line], [e[2] for _, e in line], color=color)
        axes.set(xscale="log", yscale="log", ylabel="sequences to the solution")
        drawing.set_value_axis(axes, "sequences in a gradient's batch", [row.size for row in rows])
        axes.grid(visible=True)

    return drawing.Picture(paint, width=6.0, height=4.0).svg


def _ends(runs: Sequence[Run]) -> tuple[float, float, float, bool]:
    """Return lower quartile, median and upper quartile, and whether the median was reached.

    Quartiles that were not reached are replaced by the largest cost of a run.
    """
    spent = max(cost(run, "sequences") for run in runs)
    low, median, high = quartiles(runs, "sequences")
    low, median_or_spent, high = (spent if value is None else value for value in (low, median, high))
    return low, median_or_spent, high, median is not None
