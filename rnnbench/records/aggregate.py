"""The live summary of a batched run: medians, percentiles and shares over the replicas of each cell.

A *cell* is a set of replicas of one batched run that differ only in the seed. Each cell has its own run folder, so that
TensorBoard shows a sweep of hundreds of runs as a few curves with their spread.
"""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnnbench.records import events, metrics_csv
from rnnbench.records.aggregate_board import LEVELS, SHARES, aggregate_board, aggregate_columns
from rnnbench.records.board import PLAIN, Board
from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import failure
from rnnbench.records.quantiles import order_quantiles
from rnnbench.records.summary import Status
from rnnbench.records.writer import Records

# Sorts before the events files of Records: TensorBoard reads a folder's files in the order of their names and never
# returns to an earlier one.
_LAYOUT_FILE = f"{events.FILE_PREFIX}{0:010d}.layout"

_MAX_NAME_BYTES = 200


class Aggregate:
    """Records each cell of a batched run of R replicas in its own folder, as `Records` does for a replica.

    For each metric TAG of the run there are three columns: TAG, the median over the cell's replicas, and TAG_q10 and
    TAG_q90, the 10th and 90th percentile, as `order_quantiles` defines them. A replica that has ended or diverged
    contributes its last value to all later rows, so that every row summarizes all seeds, not only those that are still
    unsolved. A replica without any value so far is left out. The columns of `SHARES` come first.

    The rows of a cell depend on its own replicas only, whatever other cells the batched run has.

    Attributes:
        records: Writer of the files. Its replicas are the cells, in their order. Use it to sync, continue and close the
            aggregate.

    Example:
        aggregate = Aggregate(folder, {"optim.lr=0.1": [0, 1], "optim.lr=0.01": [2, 3]}, ["loss/eval"])
        with aggregate.records:
            aggregate.log(0, {"loss/eval": [0.5, 0.7]}, [0, 1], statuses=["running"] * 4, solved=[False] * 4)
    """

    def __init__(
        self,
        folder: Path,
        cells: Mapping[str, Sequence[int]],
        columns: Sequence[str],
        *,
        last: NDArray[np.float64] | None = None,
        lengths: Sequence[Mapping[str, int]] | None = None,
        restart: bool = False,
        board: Board = PLAIN,
    ) -> None:
        """Start new records, or continue those of an earlier process.

        Args:
            folder: Parent folder of the cells' folders, each named by `folder_name`.
            cells: Name of each cell -> its replicas; each of the R replicas belongs to exactly one cell.
            columns: Names of the run's metrics, C of them.
            last: Last value of each metric of each replica, (R, C), NaN if there was none: `last_values` of the
                replicas' folders as they were at the checkpoint. None: a new run.
            lengths: For each cell, the file lengths that `records.checkpoint` passed on at the checkpoint. None: new
                records.
            restart: Whether to remove records of an earlier process and start new ones.
            board: Contents of a single run's TensorBoard pages.

        Raises:
            RecordError: As for `Records`, or a cell's folder cannot be created.
            ValueError: As for `Records`, or a replica belongs to no cell or to several, a cell is empty, or `last` is
                not of shape (R, C).
        """
        self._columns = tuple(columns)
        self._members = _members(cells)  # (cells, largest cell), R where a cell is smaller
        self._sizes = np.array([len(replicas) for replicas in cells.values()])
        num_replicas = int(self._sizes.sum())
        # One more replica, which never has a value, fills up the cells that are smaller than the largest.
        self._last = np.full((len(columns), num_replicas + 1), np.nan)
        if last is not None:
            if last.shape != (num_replicas, len(columns)):
                raise ValueError(f"last must be of shape {(num_replicas, len(columns))}, got {last.shape}")
            self._last[:, :-1] = last.T
        folders = [_make_folder(folder / folder_name(name)) for name in cells]
        if lengths is not None:  # the layout is written again, possibly with another length
            lengths = [{name: size for name, size in each.items() if name != _LAYOUT_FILE} for each in lengths]
        self.records = Records(
            folders,
            aggregate_columns(columns),
            lengths=lengths,
            restart=restart,
            board=aggregate_board(columns, board),
        )
        try:
            _write_layout(folders[0], self.records)
        except RecordError as error:
            self.records.fail(0, str(error))
        self._shares = np.full((len(cells), len(SHARES)), np.nan)
        if lengths is not None:
            self._shares[:] = [_last_shares(each) for each in folders]

    def log(
        self,
        update: int,
        values: Mapping[str, metrics_csv.Column],
        replicas: Sequence[int],
        *,
        statuses: Sequence[Status],
        solved: Sequence[bool],
    ) -> None:
        """Log a row for each cell in which a replica has a row or a share has changed.

        A cell has a value of a metric if at least one of its replicas has one in this call. After a cell's last replica
        has ended, the cell gets at most one more row, with the final shares.

        Args:
            update: Index of the update, larger than that of the call before.
            values: Column -> one number per row, as for `Records.log`.
            replicas: Indices of the k replicas that the rows belong to; may be empty.
            statuses: Status of each of the R replicas after the update.
            solved: Whether each of the R replicas has been solved by then, whatever its status.

        Raises:
            RecordError: An earlier write failed.
            ValueError: A column is unknown or not of shape (k,), or `statuses` or `solved` is not of length R.
        """
        given = self._take(values, np.asarray(replicas, dtype=np.intp))  # (C, R + 1)
        shares = self._share(statuses, solved)  # (cells, 3)
        has_rows = np.isin(self._members, replicas).any(axis=1)
        due = np.flatnonzero(has_rows | (shares != self._shares).any(axis=1))  # n cells
        self._shares = shares
        if not len(due):
            return
        members = self._members[due]
        has_number: NDArray[np.bool_] = np.any(given[:, members], axis=2)  # (C, n)
        shown = np.flatnonzero(has_number.any(axis=1))
        samples = self._last[shown].T[members.T]  # (largest cell, n, shown)
        numbers = order_quantiles(samples, list(LEVELS.values()))  # (3, n, shown)
        row: dict[str, metrics_csv.Column] = dict(zip(SHARES, shares[due].T, strict=True))
        for metric, levels in zip(shown, np.moveaxis(numbers, -1, 0), strict=True):
            is_missing = ~has_number[metric]
            for suffix, level in zip(LEVELS, levels, strict=True):
                column = np.ma.masked_array(level, is_missing) if is_missing.any() else level
                row[f"{self._columns[metric]}{suffix}"] = column
        self.records.log(update, row, due.tolist())

    def _take(self, values: Mapping[str, metrics_csv.Column], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Store the values of the replicas that have rows.

        Returns:
            Whether each metric of each replica has a value in this call, (C, R + 1).
        """
        table, present = metrics_csv.tabulate(self._columns, values, len(rows))
        is_number = present & ~np.isnan(table)
        self._last[:, rows] = np.where(is_number, table, self._last[:, rows])
        given = np.zeros(self._last.shape, dtype=bool)
        given[:, rows] = is_number
        return given

    def _share(self, statuses: Sequence[Status], solved: Sequence[bool]) -> NDArray[np.float64]:
        """Shares of each cell's replicas, (cells, 3), in the order of `SHARES`."""
        num_replicas = self._last.shape[1] - 1
        if not len(statuses) == len(solved) == num_replicas:
            raise ValueError(f"statuses and solved must be {num_replicas}, got {len(statuses)} and {len(solved)}")
        status = np.array([*statuses, ""])
        flags = np.stack([np.array([*solved, False]), status == "running", status == "diverged"])  # (3, R + 1)
        shares: NDArray[np.float64] = flags[:, self._members].sum(axis=2).T / self._sizes[:, None]
        return shares


def last_values(folders: Sequence[Path | None], columns: Sequence[str]) -> NDArray[np.float64]:
    """Last value of each column in some run folders.

    Args:
        folders: Run folders, R of them; None: a replica without records.
        columns: Names of the columns, C of them.

    Returns:
        The values, (R, C); NaN if a column has no value or does not exist.

    Raises:
        RecordError: A metrics.csv is missing or damaged.
    """
    last = np.full((len(folders), len(columns)), np.nan)
    for row, folder in zip(last, folders, strict=True):
        metrics = {} if folder is None else metrics_csv.read_metrics(folder)
        for index, column in enumerate(columns):
            numbers = metrics.get(column, np.empty(0))
            numbers = numbers[~np.isnan(numbers)]
            if len(numbers):
                row[index] = numbers[-1]
    return last


def folder_name(name: str) -> str:
    """Name of a cell's folder: the cell's name if it is safe as a file name, else a readable part of it and a digest.

    Args:
        name: Any text, for example "optim.lr=0.001,optim.momentum=0.9".

    Returns:
        1 to 200 letters, digits and `.,=+-_`, not beginning with a dot; different for different names.
    """
    safe = re.sub(r"[^A-Za-z0-9.,=+_-]", "_", name)
    if safe == name and name and not name.startswith(".") and len(name) <= _MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{safe.lstrip('.')[: _MAX_NAME_BYTES - 1 - len(digest)]}-{digest}"


def _members(cells: Mapping[str, Sequence[int]]) -> NDArray[np.intp]:
    """Replicas of each cell, (cells, m), where m is the size of the largest cell; smaller cells are padded with R."""
    replicas = [replica for members in cells.values() for replica in members]
    if not replicas or not all(cells.values()) or sorted(replicas) != list(range(len(replicas))):
        raise ValueError(f"each replica must belong to exactly one cell, and no cell may be empty, got {dict(cells)}")
    table = np.full((len(cells), max(map(len, cells.values()))), len(replicas), dtype=np.intp)
    for row, members in zip(table, cells.values(), strict=True):
        row[: len(members)] = members
    return table


def _make_folder(folder: Path) -> Path:
    if folder.is_symlink():
        raise RecordError(f"cannot write into {folder}: it is a symbolic link")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise failure(f"cannot create {folder}", error) from error
    return folder


def _write_layout(folder: Path, records: Records) -> None:
    """Write the layout of the CUSTOM SCALARS page to a separate file, which `Records` removes when it continues."""
    path, board = folder / _LAYOUT_FILE, records.board
    layout = events.custom_scalars(time.time(), board.page, board.charts, records.tags)
    try:
        path.unlink(missing_ok=True)  # a symbolic link would be written through
        with open(path, "xb") as handle:
            handle.write(events.file_version() + layout)
    except OSError as error:
        raise failure(f"cannot write {path}", error) from error


def _last_shares(folder: Path) -> NDArray[np.float64]:
    """Shares in the last row of a cell, so that a cell that ended before a restart does not repeat that row."""
    try:
        shares: NDArray[np.float64] = last_values([folder], SHARES)[0]
    except RecordError:  # Records cannot continue this cell either and reports it
        return np.full(len(SHARES), np.nan)
    return shares
