"""The live summary of a batched run: medians, percentiles and shares over the replicas of each cell.

A *cell* is a set of replicas of one batched run that differ in the seed alone. It gets a run folder of its own, so that
TensorBoard shows a sweep of hundreds of runs as a few curves with their spread.
"""

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rnnbench.records import events, metrics_csv
from rnnbench.records.aggregate_board import LEVELS, SHARES, aggregate_board, aggregate_columns
from rnnbench.records.board import PLAIN, Board
from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import failure
from rnnbench.records.summary import Status
from rnnbench.records.writer import Records

# Sorts before the events files of Records: TensorBoard reads a folder's files in the order of their names and does not
# come back to an earlier one.
_LAYOUT_FILE = f"{events.FILE_PREFIX}{0:010d}.layout"

_MAX_NAME_BYTES = 200


class Aggregate:
    """Records each cell of a batched run of R replicas in a folder of its own, as `Records` does a replica.

    For each metric TAG of the run there are three columns: TAG, the median over the cell's replicas, and TAG_q10 and
    TAG_q90, the 10th and 90th percentile (see `quantiles`). A replica that gives no number any more, since it has ended
    or diverged, keeps contributing its last one, so that the median is always one over all seeds and not over those
    that are not solved yet; one that never gave a number is left out. Infinities take part. The columns of `SHARES`
    come first.

    It depends on a cell's own replicas alone: the rows are the same whatever other cells the batched run has.

    Attributes:
        records: What writes the files; its replicas are the cells, in their order. Sync, continue from and close the
            aggregate through it.

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
            folder: Where the cells' folders are made, each under the `folder_name` of its name.
            cells: Name -> its replicas; each of the R replicas belongs to exactly one cell.
            columns: Names of the run's metrics, C of them.
            last: Last number of each metric of each replica, (R, C), NaN where there was none: `last_values` of the
                replicas' folders as they were at the checkpoint. None: a new run.
            lengths: For each cell the lengths that `records.checkpoint` gave then. None: new records.
            restart: New records in place of those that an earlier process left, which are removed.
            board: What TensorBoard shows of a single run.

        Raises:
            RecordError: As for `Records`, or a cell's folder cannot be made.
            ValueError: As for `Records`, or a replica belongs to no cell or to several, a cell is empty, or `last` is
                not of shape (R, C).
        """
        self._columns = tuple(columns)
        self._members = _members(cells)  # (cells, largest cell), R where a cell is smaller
        self._sizes = np.array([len(replicas) for replicas in cells.values()])
        num_replicas = int(self._sizes.sum())
        # One replica more, which never gives a number, stands in where a cell is smaller than the largest.
        self._last = np.full((len(columns), num_replicas + 1), np.nan)
        if last is not None:
            if last.shape != (num_replicas, len(columns)):
                raise ValueError(f"last must be of shape {(num_replicas, len(columns))}, got {last.shape}")
            self._last[:, :-1] = last.T
        folders = [_make_folder(folder / folder_name(name)) for name in cells]
        if lengths is not None:  # the layout is written anew, and need not be as long as it was
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
        """Log a row for each cell of which a replica has a row, and for each whose shares have changed.

        A cell has a value of a metric where one of its replicas gives a number now. Once a cell's last replica has
        ended, the cell gets at most one more row, which tells so.

        Args:
            update: Index of the update, larger than that of the call before.
            values: Column -> one number per row, as for `Records.log`.
            replicas: Indices of the k replicas that the rows belong to; may be empty.
            statuses: Status of each of the R replicas after the update.
            solved: Whether each of the R replicas has been solved, whatever its status, after the update.

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
        numbers = quantiles(self._last[shown][:, members], list(LEVELS.values()))  # (shown, n, 3)
        row: dict[str, metrics_csv.Column] = dict(zip(SHARES, shares[due].T, strict=True))
        for metric, levels in zip(shown, numbers, strict=True):
            is_missing = ~has_number[metric]
            for suffix, level in zip(LEVELS, levels.T, strict=True):
                column = np.ma.masked_array(level, is_missing) if is_missing.any() else level
                row[f"{self._columns[metric]}{suffix}"] = column
        self.records.log(update, row, due.tolist())

    def _take(self, values: Mapping[str, metrics_csv.Column], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Keep the numbers of the replicas that have rows.

        Returns:
            Which metrics of which replicas are numbers now, (C, R + 1).
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


def quantiles(samples: NDArray[np.float64], levels: ArrayLike) -> NDArray[np.float64]:
    """Quantiles of the numbers among some samples, interpolated linearly between order statistics.

    The q-quantile of n numbers lies at position q (n - 1) of the sorted ones (type 7 of Hyndman and Fan, Sample
    Quantiles in Statistical Packages, 1996), as in `numpy.nanquantile`. Unlike there, an infinity takes part as a
    number that is larger or smaller than all others, and a sum never overflows.

    Args:
        samples: Numbers, infinities among them, and NaN, which is left out; shape (..., m).
        levels: Shares q in [0, 1], shape (l,).

    Returns:
        Shape (..., l); NaN where all samples are NaN, or where the place is between minus and plus infinity.
    """
    ordered = np.sort(samples, axis=-1)  # NaN comes last
    top = np.maximum(np.count_nonzero(~np.isnan(ordered), axis=-1) - 1, 0)[..., None]
    position = top * np.asarray(levels, dtype=np.float64)
    below = np.floor(position).astype(np.intp)
    weight = position - below
    lower = np.take_along_axis(ordered, below, axis=-1)
    upper = np.take_along_axis(ordered, np.minimum(below + 1, top), axis=-1)
    with np.errstate(invalid="ignore"):
        between = np.clip(lower * (1 - weight) + upper * weight, lower, upper)
    # Where the upper one is infinite its weight of 0 does not take it out: 0 times infinity is not 0.
    result: NDArray[np.float64] = np.where((weight == 0) | (lower == upper), lower, between)
    return result


def last_values(folders: Sequence[Path | None], columns: Sequence[str]) -> NDArray[np.float64]:
    """Last number of each column of some run folders.

    Args:
        folders: Run folders, R of them; None: nothing is known of this one.
        columns: C names.

    Returns:
        Shape (R, C); NaN where a column holds no number, or is not there.

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
    """Name of a cell's folder: the cell's name where that is safe, else a readable part of it and a digest.

    Args:
        name: Any text, for example "optim.lr=0.001,optim.momentum=0.9".

    Returns:
        1 to 200 letters, digits and `.,=+-_`, not beginning with a dot; other names give other folders.
    """
    safe = re.sub(r"[^A-Za-z0-9.,=+_-]", "_", name)
    if safe == name and name and not name.startswith(".") and len(name) <= _MAX_NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    return f"{safe.lstrip('.')[: _MAX_NAME_BYTES - 1 - len(digest)]}-{digest}"


def _members(cells: Mapping[str, Sequence[int]]) -> NDArray[np.intp]:
    """Replicas of each cell, (cells, m) with m the largest cell's size; R, the number of all, fills up the others."""
    replicas = [replica for members in cells.values() for replica in members]
    if not replicas or not all(cells.values()) or sorted(replicas) != list(range(len(replicas))):
        raise ValueError(f"each replica must belong to exactly one cell, and each cell have one, got {dict(cells)}")
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
        raise failure(f"cannot make {folder}", error) from error
    return folder


def _write_layout(folder: Path, records: Records) -> None:
    """Lay out the CUSTOM SCALARS page in a file of its own, which `Records` removes whenever it goes on."""
    path, board = folder / _LAYOUT_FILE, records.board
    layout = events.custom_scalars(time.time(), board.page, board.charts, records.tags)
    try:
        path.unlink(missing_ok=True)  # a symbolic link would be written through
        with open(path, "xb") as handle:
            handle.write(events.file_version() + layout)
    except OSError as error:
        raise failure(f"cannot write {path}", error) from error


def _last_shares(folder: Path) -> NDArray[np.float64]:
    """Shares in the last row of a cell, so that one that had ended before a restart does not get that row again."""
    try:
        shares: NDArray[np.float64] = last_values([folder], SHARES)[0]
    except RecordError:  # Records, which could not go on with it either, tells of it
        return np.full(len(SHARES), np.nan)
    return shares
