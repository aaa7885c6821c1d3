"""runs.csv: a table with one row per run. A report can be made from it instead of from run folders."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import reason
from rnnbench.records.messages import printable
from rnnbench.records.plain_file import read_file
from rnnbench.records.summary import STATUSES, SolvedAt, Summary, check_summary
from rnnbench.reports import fields
from rnnbench.reports.chart import Cell
from rnnbench.reports.fields import ABSENT, Value
from rnnbench.reports.runs import Run

FOLDER = "folder"
NUMBERS = ("updates", "sequences", "products", "seconds", "loss", "error_rate", "baseline_loss", "baseline_error_rate")
SOLVED_AT = {"update": "solved_at_updates", "sequences": "solved_at_sequences", "seconds": "solved_at_seconds"}
PRODUCTS = "solved_at_products"
LIMIT = "solved_error_rate"

OTHERS = {"device": "device_used", "threads": "threads_used", "git": "git", "message": "message"}
"""Further entries of a summary -> column; the columns `device` and `threads` belong to the configuration."""

VERSIONS = "versions."
NEEDED = (FOLDER, "status", *NUMBERS, *SOLVED_AT.values())


def run_rows(runs: Sequence[Run], first: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[Cell, ...]]]:
    """Return the columns and rows of the table.

    Args:
        runs: Runs of the table, at least one.
        first: Fields of the configuration that come first; all others follow.
    """
    names = list(dict.fromkeys([*first, *fields.all_fields([run.fields for run in runs])]))
    versions = list(dict.fromkeys(name for run in runs for name in run.summary.versions))
    columns = (
        *(FOLDER, *names, "outcome", "status"),
        *(*NUMBERS, *SOLVED_AT.values(), PRODUCTS, LIMIT),
        *(*OTHERS.values(), *(VERSIONS + name for name in versions)),
    )
    rows: list[tuple[Cell, ...]] = []
    for run in runs:
        summary, at = run.summary, run.summary.solved_at
        rows.append(
            (
                *(str(run.folder), *(fields.format_value(run.fields.get(name, ABSENT)) for name in names)),
                *(run.outcome, summary.status),
                *(getattr(summary, name) for name in NUMBERS),
                *(None if at is None else getattr(at, name) for name in SOLVED_AT),
                run.products_when_solved,
                summary.solved_error_rate,
                *(getattr(summary, name) for name in OTHERS),
                *(summary.versions.get(name) for name in versions),
            )
        )
    return columns, rows


def read_table(path: Path) -> list[Run]:
    """Read the runs of a table; it does not contain their curves.

    Raises:
        RecordError: The file cannot be read, or is not a table of runs.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_file(path).decode(), newline=""), strict=True)
        rows = list(reader)
    except OSError as error:
        raise RecordError(f"cannot read {path}: {reason(error)}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordError(f"cannot read {path}: {error}") from error
    missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise RecordError(f"{path} is not a runs.csv of rnnbench report: it has no column {missing[0]}")
    runs = []
    for number, row in enumerate(rows, 2):
        try:
            runs.append(_run(row))
        except (RecordError, ValueError, TypeError, KeyError) as error:
            raise RecordError(f"cannot read {path}: line {number}: {error}") from error
    return runs


def _run(row: Mapping[str, Any]) -> Run:
    """Convert a row to a run.

    Raises:
        RecordError, ValueError, TypeError: A cell is not valid.
    """
    if None in row or None in row.values():
        raise ValueError("more or fewer cells than in the header")
    if row["status"] not in STATUSES:
        raise ValueError(f"status must be one of {', '.join(STATUSES)}, got {row['status']!r}")
    at = {name: _amount(row, column) for name, column in SOLVED_AT.items()}
    solved_at = None if at["update"] is None else SolvedAt(**at)  # type: ignore[arg-type] # checked below
    versions = {name.removeprefix(VERSIONS): value for name, value in row.items() if name.startswith(VERSIONS)}
    summary = Summary(
        status=row["status"],
        solved=solved_at is not None,
        solved_at=solved_at,
        versions={name: value for name, value in versions.items() if value},
        device=row.get(OTHERS["device"]) or None,
        threads=_amount(row, OTHERS["threads"]),  # type: ignore[arg-type] # a whole number
        git=row.get(OTHERS["git"]) or None,
        message=row.get(OTHERS["message"]) or None,
        solved_error_rate=_amount(row, LIMIT),
        **{name: _amount(row, name) for name in NUMBERS},  # type: ignore[arg-type] # checked next
    )
    check_summary(summary)
    own = {*NEEDED, "outcome", PRODUCTS, LIMIT, *OTHERS.values()}
    values = {
        printable(name): _value(cell) for name, cell in row.items() if name not in own and not name.startswith(VERSIONS)
    }
    configured = {name: value for name, value in values.items() if value != ABSENT}
    return Run(Path(row[FOLDER]), summary, configured, None, _amount(row, PRODUCTS))


def _amount(row: Mapping[str, str], column: str) -> int | float | None:
    """Return the number in a cell; None: the cell is empty or the column is missing.

    Raises:
        ValueError: The cell is not a number.
    """
    cell = row.get(column, "")
    try:
        return _number(cell) if cell else None
    except ValueError as error:
        raise ValueError(f"{column} must be a number, got {cell!r}") from error


def _value(cell: str) -> Value:
    """Parse the value of a field; the inverse of `fields.format_value`."""
    literals: dict[str, Value] = {"null": None, "true": True, "false": False}
    if cell in literals:
        return literals[cell]
    try:
        return _number(cell)
    except ValueError:
        return cell


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)
