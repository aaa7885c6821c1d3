"""metrics.csv: one row per logged update, one column per metric.

The first column is `update`. An empty cell means that there was no value; `nan` and `inf` are values that were not
finite. Floats are written as the shortest decimal that reads back to the same float64. Columns that hold wall-clock
times begin with `time/`. `pandas.read_csv` needs no options.
"""

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import failure
from rnnbench.records.plain_file import open_to_read, read_file

FILE_NAME = "metrics.csv"

_TAIL_BYTES = 2**16  # more than a row takes

# One number per row of a batched run; None or a masked entry: no value.
Column = ArrayLike | Sequence[float | None]


def header(columns: Sequence[str]) -> bytes:
    """Return the first line.

    Raises:
        ValueError: A name is empty, repeated, `update`, or would need quotes.
    """
    names = ["update", *columns]
    for name in names:
        if not name or any(character in name for character in ',"\r\n'):
            raise ValueError(f"a column name must be non-empty, without commas, quotes and line ends, got {name!r}")
        if names.count(name) > 1:
            raise ValueError(f"column {name!r} appears twice")
    return (",".join(names) + "\n").encode()


def first_columns(folders: Iterable[Path]) -> tuple[str, ...] | None:
    """Return the column names, without `update`, of the first run folder with a valid metrics.csv; None: no folder has.

    Args:
        folders: Run folders.
    """
    for folder in folders:
        with contextlib.suppress(OSError, ValueError):
            with open(folder / FILE_NAME, "rb") as handle:
                line = handle.readline()
            columns = line.decode().rstrip("\n").split(",")[1:]
            if header(columns) == line:
                return tuple(columns)
    return None


def tabulate(
    columns: Sequence[str], values: Mapping[str, Column], num_rows: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Combine the values of several rows of one update in one table.

    Args:
        columns: Names of the C columns.
        values: Name -> numbers, shape (num_rows,), for some of the columns.
        num_rows: Number of rows, one per recorded replica.

    Returns:
        Numbers, and whether each of them is present, both of shape (C, num_rows).

    Raises:
        ValueError: A column is unknown, has another shape, or holds a value that is not a number.
    """
    unknown = [name for name in values if name not in columns]
    if unknown:
        raise ValueError(f"unknown column {unknown[0]!r}; the columns are {', '.join(columns)}")
    table = np.full((len(columns), num_rows), np.nan)
    present = np.zeros(table.shape, dtype=bool)
    for index, name in enumerate(columns):
        if name in values:
            try:
                table[index], present[index] = _numbers(values[name], num_rows)
            except (TypeError, ValueError) as error:
                raise ValueError(f"column {name!r}: {error}") from error
    return table, present


def _numbers(column: Column, num_rows: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return a column's numbers, and whether each of them is present, both of shape (num_rows,)."""
    if isinstance(column, np.ma.MaskedArray):
        present = ~np.ma.getmaskarray(column)
        numbers = np.ma.filled(column.astype(np.float64), np.nan)
    else:
        cells = np.asarray(column)
        present = np.ones(cells.shape, dtype=bool)
        if cells.dtype == object:
            present[...] = [cell is not None for cell in cells]
            cells = np.where(present, cells, np.nan)
        numbers = cells.astype(np.float64)
    if numbers.shape != (num_rows,):
        raise ValueError(f"expected shape ({num_rows},), got {numbers.shape}")
    return numbers, present


def rows(update: int, table: NDArray[np.float64], present: NDArray[np.bool_]) -> list[bytes]:
    """Return the lines of several runs at one update; the cell of a missing value is empty.

    Args:
        update: Number of updates done.
        table: Numbers, shape (C, n) for C columns and n runs.
        present: Whether each number is present, shape (C, n).
    """
    lines = []
    for values, presences in zip(table.T.tolist(), present.T.tolist(), strict=True):
        cells = [repr(value) if is_present else "" for value, is_present in zip(values, presences, strict=True)]
        lines.append(f"{update},{','.join(cells)}\n".encode())
    return lines


def read_metrics(folder: Path) -> dict[str, NDArray[np.float64]]:
    """Read a run's metrics.

    A last line without a line end, as a killed process can leave it, is ignored.

    Args:
        folder: Run folder.

    Returns:
        Column name -> values, shape (rows,), in the order of the file; NaN: no value.

    Raises:
        RecordError: The file is missing or damaged; the message names the line.
    """
    path = folder / FILE_NAME
    try:
        lines = read_file(path).decode().split("\n")[:-1]
    except OSError as error:
        raise failure(f"cannot read {path}", error) from error
    except UnicodeDecodeError as error:
        raise RecordError(f"cannot read {path}: it is not text") from error
    if not lines:
        raise RecordError(f"cannot read {path}: it has no header")
    names = lines[0].split(",")
    if not _is_header(names):
        raise RecordError(f"cannot read {path}: line 1 must be the names of the columns, the first of them update")
    table = np.empty((len(lines) - 1, len(names)))
    for number, line in enumerate(lines[1:]):
        cells = line.split(",")
        if len(cells) != len(names):
            raise RecordError(f"cannot read {path}: line {number + 2} has {len(cells)} cells, expected {len(names)}")
        try:
            table[number] = [float(cell) if cell else np.nan for cell in cells]
        except ValueError as error:
            raise RecordError(f"cannot read {path}: line {number + 2}: {error}") from error
    return {name: table[:, index] for index, name in enumerate(names)}


def _is_header(names: Sequence[str]) -> bool:
    """Whether the cells of a first line are names of columns that `header` makes."""
    return names[0] == "update" and all(names) and len({*names}) == len(names)


def last_row(folder: Path, columns: Sequence[str]) -> list[float] | None:
    """Read some columns of the last complete row of a metrics.csv, without reading the whole file.

    Args:
        folder: Run folder.
        columns: Names of the columns.

    Returns:
        One number per column; None: there is no row, or one of the numbers is missing.
    """
    try:
        with open_to_read(folder / FILE_NAME) as handle:
            start = handle.read(_TAIL_BYTES)
            size = os.fstat(handle.fileno()).st_size
            tail = start if size <= _TAIL_BYTES else os.pread(handle.fileno(), _TAIL_BYTES, size - _TAIL_BYTES)
        names, *_ = start.decode(errors="replace").split("\n")
        lines = tail.decode(errors="replace").split("\n")[:-1]
        cells = dict(zip(names.split(","), lines[-1].split(","), strict=True))
        return [float(cells[column]) for column in columns] if len(lines) > (size <= _TAIL_BYTES) else None
    except (OSError, IndexError, KeyError, ValueError):
        return None
