"""Checks whether the records of a run are complete up to a checkpoint; nothing is changed here."""

import os
from collections.abc import Mapping
from pathlib import Path

from rnnbench.records import events, framing, metrics_csv, summary
from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import failure, reason
from rnnbench.records.plain_file import open_to_write

Lengths = Mapping[str, int]
"""File name -> length of its complete records, in bytes."""

FORMER_COLUMNS = frozenset({b"hf/batch_factor"})
"""Columns of metrics.csv that earlier versions recorded; in a run that goes on they stay empty from then on."""


class ShortRecordsError(RecordError):
    """Records that were on disk at a checkpoint are missing."""


def is_record_name(name: object) -> bool:
    """Whether a name is that of a record file; names of files outside the run folder never are."""
    if not isinstance(name, str) or Path(name).name != name or "\0" in name:
        return False
    return name == metrics_csv.FILE_NAME or name.startswith(events.FILE_PREFIX)


def check_continued(folder: Path, header: bytes, lengths: Lengths) -> None:
    """Check that `continued_files` can continue the records of a run.

    Args:
        folder: Run folder.
        header: First line of metrics.csv.
        lengths: Lengths to which the files will be truncated.

    Raises:
        ShortRecordsError: A file is missing or shorter.
        RecordError: A file has wrong contents, or cannot be written.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        raise RecordError(f"cannot write into {folder}: permission denied")
    for path in (folder / summary.FILE_NAME, *folder.glob(f"{events.FILE_PREFIX}*")):
        if path.is_dir():
            raise RecordError(f"cannot write {path}: it is a folder")
    for name, length in lengths.items():
        try:
            with open_to_write(folder / name) as handle:
                _check_length(folder / name, os.fstat(handle.fileno()).st_size, length)
                if name == metrics_csv.FILE_NAME:
                    last = os.pread(handle.fileno(), 1, max(length - 1, 0))
                    longest = len(header) + sum(len(column) + 1 for column in FORMER_COLUMNS)
                    _check_metrics(folder / name, handle.read(longest), last, header)
        except FileNotFoundError as error:
            raise ShortRecordsError(f"cannot continue {folder / name}: {reason(error)}") from error
        except OSError as error:
            raise failure(f"cannot continue {folder / name}", error) from error


def covered_lengths(folder: Path, header: bytes, lengths: Lengths) -> dict[str, int]:
    """Return how much of the records that a checkpoint counts is still there, in complete lines and events.

    Args:
        folder: Run folder.
        header: First line of metrics.csv.
        lengths: Lengths of the files at the checkpoint.

    Returns:
        File name -> length in bytes, without missing files and without a metrics.csv that has lost its header.

    Raises:
        RecordError: A file has wrong contents.
    """
    covered = {}
    for name, length in lengths.items():
        path = folder / name
        try:
            with open_to_write(path) as handle:
                written = handle.readall()[:length]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise failure(f"cannot continue {path}", error) from error
        if name != metrics_csv.FILE_NAME:
            covered[name] = framing.whole_records(written)
        elif not header.startswith(written):
            covered[name] = written.rfind(b"\n") + 1
            _check_metrics(path, written, written[covered[name] - 1 :][:1], header)
    return covered


def _check_length(path: Path, size: int, length: int) -> None:
    if size < length:
        raise ShortRecordsError(f"cannot continue {path}: it has {size} bytes, but had {length} at the checkpoint")


def _check_metrics(path: Path, start: bytes, end: bytes, header: bytes) -> None:
    """Check the first bytes of a metrics.csv, and the last byte that is kept.

    Columns of this run may be missing: columns that an earlier version of rnnbench did not record stay omitted. Those
    of `FORMER_COLUMNS` may be there.
    """
    line, newline, _ = start.partition(b"\n")
    names, known = line.split(b","), header.rstrip(b"\n").split(b",")
    if not newline or names[0] != known[0] or len({*names}) < len(names) or not {*names} <= {*known} | FORMER_COLUMNS:
        raise RecordError(f"cannot continue {path}: its columns are not those of this run")
    if end != b"\n":
        raise RecordError(f"cannot continue {path}: a row was changed after it was written")
