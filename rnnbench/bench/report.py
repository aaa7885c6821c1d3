"""Tables of results, for the terminal and as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table

from rnnbench.bench.timing import Statistics

PLAIN_WIDTH = 200  # for a table in a file, so that no cell is cut


@dataclass(frozen=True)
class Report:
    """One table.

    Attributes:
        title: Title.
        columns: Headings; the first column is text, the others are numbers.
        rows: Cells of each row; None is a line between sections.
        notes: Sentences below the table.
        data: All measured values, for the JSON file.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str] | None]
    notes: Sequence[str] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


def print_report(report: Report, stream: TextIO) -> None:
    """Print a table; without lines and colors if the stream is not a terminal."""
    is_terminal = stream.isatty()
    console = Console(file=stream, width=None if is_terminal else PLAIN_WIDTH, force_jupyter=False)
    table = Table(box=box.SIMPLE_HEAD if is_terminal else None, pad_edge=False)
    for number, column in enumerate(report.columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=not is_terminal or bool(number))
    for row in report.rows:
        if row is None:
            table.add_row() if not is_terminal else table.add_section()
        else:
            table.add_row(*row)
    console.print()
    console.print(report.title, style="bold", markup=False, highlight=False, soft_wrap=True)
    console.print(table, markup=False, highlight=False)
    for note in report.notes:
        console.print(note, markup=False, highlight=False, soft_wrap=not is_terminal)


def write_json(path: Path, contents: Mapping[str, Any]) -> None:
    """Write strict JSON.

    Raises:
        OSError: The file cannot be written.
    """
    path.write_text(json.dumps(contents, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def milliseconds(seconds: float) -> str:
    """Format seconds as milliseconds with three significant digits."""
    value = 1000 * seconds
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def spread(statistics: Statistics) -> str:
    """Format both quartiles, in ms."""
    return f"{milliseconds(statistics.lower)} .. {milliseconds(statistics.upper)}"


def percent(share: float) -> str:
    """Format a share as a percentage with one decimal."""
    return f"{100 * share:.1f} %"


def mebibytes(number: int | None) -> str:
    """Format bytes as MiB; a dash: unknown."""
    return "-" if number is None else f"{number / 2**20:,.0f}"
