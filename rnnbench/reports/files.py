"""Files of a report: the page, its figures, and their numbers."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from rnnbench.records.plain_file import read_file
from rnnbench.records.whole_file import replace_file
from rnnbench.reports.chart import Cell, Chart
from rnnbench.reports.errors import ReportError
from rnnbench.reports.page import FIGURES

PAGE = "index.html"

_LINK = re.compile(rf'href="({FIGURES}/\w+\.(?:csv|svg))"')


def prepare(folder: Path) -> None:
    """Create the folder of a report.

    Raises:
        ReportError: The folder cannot be created.
    """
    try:
        (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"cannot write into {folder}: {error.strerror}; --out DIR puts the page elsewhere") from error


def write(folder: Path, page: str, charts: Sequence[Chart]) -> None:
    """Write the page and its figures; the figures of an earlier page are removed.

    Raises:
        OSError, RecordError: A file cannot be written.
    """
    for stale in _earlier(folder / PAGE):
        (folder / stale).unlink(missing_ok=True)
    for chart in charts:
        replace_file(folder / FIGURES / f"{chart.name}.svg", chart.svg, durable=False)
        write_csv(folder / FIGURES / f"{chart.name}.csv", chart.columns, chart.rows)
    replace_file(folder / PAGE, page, durable=False)


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Write a table that `pandas.read_csv` reads back unchanged; None is an empty cell.

    Raises:
        RecordError: The file cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    replace_file(path, text.getvalue(), durable=False)


def _earlier(page: Path) -> list[str]:
    """Return the figures that an earlier page links to."""
    try:
        return _LINK.findall(read_file(page).decode())
    except (OSError, UnicodeDecodeError):
        return []
