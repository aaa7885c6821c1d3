"""What groups came to, as tables: the same cells on the terminal and on the page, and numbers as CSV."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TextIO

from rich import box
from rich.console import Console
from rich.table import Table as RichTable

from rnnbench.records import wording
from rnnbench.report import fields
from rnnbench.report.chart import Cell
from rnnbench.report.groups import Group
from rnnbench.report.runs import MEASURES, Measure, Outcome

PLAIN_WIDTH = 240
"""Of a table that does not go to a terminal: no cell is cut."""

QUARTILES = (0.25, 0.5, 0.75)

_PADDING = 3  # between columns
_UNLUCKY: tuple[Outcome, ...] = ("diverged", "failed", "unfinished")


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        title: Heading of the table.
        columns: Headings.
        num_labels: How many of the first columns are words; the others are numbers.
        rows: Cells.
        note: Text below the table, on how to read it.
    """

    title: str
    columns: tuple[str, ...]
    num_labels: int
    rows: Sequence[tuple[str, ...]]
    note: str


def outcome_table(groups: Sequence[Group]) -> Table:
    """How many runs of each group were solved, and how good they got."""
    names = groups[0].names
    unlucky = [outcome for outcome in _UNLUCKY if any(group.counts[outcome] for group in groups)]
    rows = [
        (
            *_labels(group),
            str(len(group.runs)),
            str(group.num_solved),
            wording.percent(group.share_solved),
            percent_range(group.interval),
            *(str(group.counts[outcome]) for outcome in unlucky),
            _beside(wording.number(group.loss), wording.number(group.baseline_loss)),
            _beside(wording.percent(group.error_rate), wording.percent(group.baseline_error_rate)),
        )
        for group in groups
    ]
    note = (
        "Share: of all runs of the group, with its 95 % interval (Wilson). Loss and error rate: median over the runs "
        "at their last evaluation, in brackets the constant predictor's."
    )
    if "unfinished" in unlucky:
        note += " Unfinished runs count as not solved, until they are."
    if any(group.loss == math.inf for group in groups):
        note += " A loss of inf: most of the runs diverged."
    columns = (*_headings(names), "runs", "solved", "share", "95 % interval", *unlucky, "loss", "error rate")
    return Table("Outcome", columns, len(_headings(names)), rows, note)


def cost_table(groups: Sequence[Group]) -> Table:
    """What a solution costs in each group."""
    names = groups[0].names
    rows = [(*_labels(group), *(_cost(group, measure) for measure in MEASURES)) for group in groups]
    note = (
        "Median (lower .. upper quartile) over all runs of the group, by the Kaplan-Meier estimate: a run that was not "
        "solved counts as one that takes longer than it was seen. Not reached: too few runs were solved for it."
    )
    return Table("Cost of a solution", (*_headings(names), *MEASURES), len(_headings(names)), rows, note)


def print_table(table: Table, stream: TextIO) -> None:
    """Print a table; without lines and colours where the stream is no terminal, in parts where one is too narrow."""
    is_terminal = stream.isatty()
    console = Console(file=stream, width=None if is_terminal else PLAIN_WIDTH)
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
    """Columns of the parts in which a table fits a width: each begins with the words, and holds a number at least."""
    widths = [_PADDING + max(len(cell) for cell in cells) for cells in zip(table.columns, *table.rows, strict=True)]
    labels = list(range(table.num_labels))
    found = [list(labels)]
    for column in range(table.num_labels, len(widths)):
        if len(found[-1]) > table.num_labels and sum(widths[at] for at in [*found[-1], column]) > width:
            found.append(list(labels))
        found[-1].append(column)
    return found


def group_rows(groups: Sequence[Group]) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
    """Columns and rows of the numbers in both tables."""
    quantiles = [f"{measure}_quantile_{round(100 * share)}" for measure in MEASURES for share in QUARTILES]
    counts = tuple(outcome.replace(" ", "_") for outcome in groups[0].counts)
    scores = ("loss", "baseline_loss", "error_rate", "baseline_error_rate")
    columns = (*groups[0].names, "runs", *counts, "share_solved", "low_95", "high_95", *quantiles, *scores)
    rows: list[tuple[Cell, ...]] = [
        (
            *map(fields.say, group.values),
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
    """Two shares: "31 .. 86 %"."""
    low, high = (f"{100 * bound:.0f}" for bound in bounds)
    return f"{low} .. {high} %"


def amount(value: float, measure: Measure) -> str:
    """An amount with its unit where it has one."""
    if measure != "seconds":
        return wording.number(value)
    return wording.duration(value) if value >= 10 else f"{value:.2g} s"


def _headings(names: Sequence[str]) -> tuple[str, ...]:
    """Headings of a group's own columns; without fields there is one."""
    return tuple(fields.short_names(names).values()) or ("",)


def _labels(group: Group) -> tuple[str, ...]:
    return tuple(map(fields.say, group.values)) or (group.label,)


def _beside(value: str, constant: str) -> str:
    return f"{value} ({constant})"


def _cost(group: Group, measure: Measure) -> str:
    curve = group.not_yet_solved(measure)
    low, median, high = (None if (time := curve.time(share)) is None else amount(time, measure) for share in QUARTILES)
    if low is None:
        return "not reached"
    if median is None:
        return f"not reached ({low} ..)"
    return f"{median} ({low} .. {high or 'not reached'})"
