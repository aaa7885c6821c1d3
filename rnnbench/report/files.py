"""Files of a report: the page, its figures, and their numbers."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path

from rnnbench.report.chart import Cell, Chart
from rnnbench.report.errors import ReportError
from rnnbench.report.page import FIGURES

PAGE = "index.html"

_LINK = re.compile(rf'href="({FIGURES}/\w+\.(?:csv|svg))"')


def prepare(folder: Path) -> None:
    """Make the folder of a report.

    Raises:
        ReportError: That is not possible.
    """
    try:
        (folder / FIGURES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"cannot write into {folder}: {error.strerror}; --out DIR puts the page elsewhere") from error


def write(folder: Path, page: str, charts: Sequence[Chart]) -> None:
    """Write the page and its figures; the figures of an earlier page that this one lacks are removed.

    Raises:
        OSError: It cannot be written.
    """
    for stale in _earlier(folder / PAGE):
        (folder / stale).unlink(missing_ok=True)
    for chart in charts:
        (folder / FIGURES / f"{chart.name}.svg").write_text(chart.svg, encoding="utf-8")
        write_csv(folder / FIGURES / f"{chart.name}.csv", chart.columns, chart.rows)
    (folder / PAGE).write_text(page, encoding="utf-8")


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Write numbers that `pandas.read_csv` reads back as they are; None is an empty cell.

    Raises:
        OSError: It cannot be written.
    """
    with open(path, "w", encoding="utf-8", errors="backslashreplace", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _earlier(page: Path) -> list[str]:
    """Figures that an earlier page links to."""
    try:
        return _LINK.findall(page.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return []
