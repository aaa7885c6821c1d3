"""Tables of a report: outcomes and costs of groups of runs, for the terminal, the page and CSV files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TextIO

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from rnnbench.records import wording
from rnnbench.reports import fields
from rnnbench.reports.chart import Cell
from rnnbench.reports.groups import Group
from rnnbench.reports.runs import MEASURES, Measure, Outcome

PLAIN_WIDTH = 240
"""Width of a table that is not printed on a terminal, so that no cell is cut."""

QUARTILES = (0.25, 0.5, 0.75)

_PADDING = 3  # spaces between columns
_UNUSUAL: tuple[Outcome, ...] = ("diverged", "failed", "unfinished")


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: Heading of the table.
        columns: Headings of the columns.
        num_labels: Number of leading text columns; the others are numbers.
        rows: Cells.
        note: Text below the table, on how to read it.
    """

    title: str
    columns: tuple[str, ...]
    num_labels: int
    rows: Sequence[tuple[str, ...]]
    note: str


def outcome_table(groups: Sequence[Group]) -> Table:
    """Make the table of solved runs, losses and error rates of each group."""
    names = groups[0].names
    has_average = any(group.average for group in groups)
    unusual = [outcome for outcome in _UNUSUAL if any(group.counts[outcome] for group in groups)]
    rows = [
        (
            *_labels(group),
            str(len(group.runs)),
            str(group.num_solved),
            wording.percent(group.share_solved),
            percent_range(group.interval),
            *(str(group.counts[outcome]) for outcome in unusual),
            _with_reference(wording.number(group.loss), wording.number(group.baseline_loss)),
            _with_reference(wording.percent(group.error_rate), wording.percent(group.baseline_error_rate)),
            *(_of_average(group) if has_average else ()),
        )
        for group in groups
    ]
    note = (
        "Share: share of solved runs in the group, with its 95 % interval (Wilson). Loss and error rate: median over "
        "the runs at their last evaluation; in parentheses, those of the constant predictor."
    )
    if "unfinished" in unusual:
        note += " Unfinished runs count as not solved."
    if any(group.loss == math.inf for group in groups):
        note += " A loss of inf: most runs diverged."
    if has_average:
        note += " Of average: at the average of the weights (optim.average_decay)."
    scores = ("loss", "error rate", *(("loss of average", "error rate of average") if has_average else ()))
    columns = (*_headings(names), "runs", "solved", "share", "95 % interval", *unusual, *scores)
    return Table("Outcome", columns, len(_headings(names)), rows, note)


def cost_table(groups: Sequence[Group]) -> Table:
    """Make the table of the cost of a solution in each group."""
    names = groups[0].names
    rows = [(*_labels(group), *(_cost(group, measure) for measure in MEASURES)) for group in groups]
    note = (
        "Median (lower .. upper quartile) over all runs of the group, by the Kaplan-Meier estimate: an unsolved run "
        "counts as one that needs more than it has used. Not reached: too few runs were solved."
    )
    return Table("Cost of a solution", (*_headings(names), *MEASURES), len(_headings(names)), rows, note)


def print_table(table: Table, stream: TextIO) -> None:
    """Print a table; without lines and colors if the stream is no terminal, split if the terminal is too narrow."""
    is_terminal = stream.isatty()
    console = Console(file=stream, width=None if is_terminal else PLAIN_WIDTH, force_jupyter=False)
    console.print()
    console.print(table.title, style="bold", markup=False, highlight=False)
    for columns in parts(table, console.width):
        rich_table = RichTable(box=box.SIMPLE_HEAD if is_terminal else None, pad_edge=False)
        for column in columns:
            justify: Literal["left", "right"] = "left" if column < table.num_labels else "right"
            rich_table.add_column(table.columns[column], justify=justify, no_wrap=True)
        for row in table.rows:
            rich_table.add_row(*(row[column] for column in columns))
        console.print(rich_table, markup=False, highlight=False)
    console.print(table.note, style="dim", markup=False, highlight=False, soft_wrap=not is_terminal)


def parts(table: Table, width: int) -> list[list[int]]:
    """Split a table into parts that fit a width; each has the text columns and at least one number column."""
    widths = [_PADDING + max(len(cell) for cell in cells) for cells in zip(table.columns, *table.rows, strict=True)]
    labels = list(range(table.num_labels))
    split = [list(labels)]
    for column in range(table.num_labels, len(widths)):
        if len(split[-1]) > table.num_labels and sum(widths[at] for at in [*split[-1], column]) > width:
            split.append(list(labels))
        split[-1].append(column)
    return split


def group_rows(groups: Sequence[Group]) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
    """Return columns and rows with the numbers of both tables, for CSV."""
    quantiles = [f"{measure}_quantile_{round(100 * share)}" for measure in MEASURES for share in QUARTILES]
    counts = tuple(outcome.replace(" ", "_") for outcome in groups[0].counts)
    scores = ("loss", "baseline_loss", "error_rate", "baseline_error_rate")
    columns = (*groups[0].names, "runs", *counts, "share_solved", "low_95", "high_95", *quantiles, *scores)
    rows: list[tuple[Cell, ...]] = [
        (
            *map(fields.format_value, group.values),
            len(group.runs),
            *group.counts.values(),
            group.share_solved,
            *group.interval,
            *(group.not_yet_solved(measure).time(share) for measure in MEASURES for share in QUARTILES),
            *(getattr(group, score) for score in scores),
        )
        for group in groups
    ]
    return columns, rows


def percent_range(bounds: tuple[float, float]) -> str:
    """Format two shares: "31 .. 86 %"."""
    low, high = (f"{100 * bound:.0f}" for bound in bounds)
    return f"{low} .. {high} %"


def amount(value: float, measure: Measure) -> str:
    """Format an amount, with a unit if it is a time."""
    if measure != "seconds":
        return wording.number(value)
    return wording.duration(value) if value >= 10 else f"{value:.2g} s"


def _headings(names: Sequence[str]) -> tuple[str, ...]:
    """Return the headings of a group's label columns; without fields there is one empty heading."""
    return tuple(fields.short_names(names).values()) or ("",)


def _labels(group: Group) -> tuple[str, ...]:
    return tuple(map(fields.format_value, group.values)) or (group.label,)


def _of_average(group: Group) -> tuple[str, str]:
    """The cells with loss and error rate of the average of the weights."""
    loss, error_rate = group.average or (None, None)
    return wording.number(loss), wording.percent(error_rate)


def _with_reference(value: str, constant: str) -> str:
    return f"{value} ({constant})"


def _cost(group: Group, measure: Measure) -> str:
    curve = group.not_yet_solved(measure)
    low, median, high = (None if (time := curve.time(share)) is None else amount(time, measure) for share in QUARTILES)
    if low is None:
        return "not reached"
    if median is None:
        return f"not reached ({low} ..)"
    return f"{median} ({low} .. {high or 'not reached'})"
