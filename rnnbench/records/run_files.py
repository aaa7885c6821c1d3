"""The two growing files of a run folder: created for a new run, or truncated to resume an earlier one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnbench.records import events, framing, metrics_csv
from rnnbench.records.board import OVERVIEW
from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import GrowingFile, create_file, failure, truncate_file
from rnnbench.records.plain_file import open_to_read, open_to_write, read_file

_START_BYTES = 2**16  # more than the events before the first row, and that row


@dataclass(frozen=True)
class RunFiles:
    """The growing files of one run folder.

    Attributes:
        metrics: The file metrics.csv.
        events: The events file of this process.
        older_events: Name -> length in bytes of the events files that earlier processes wrote.
    """

    metrics: GrowingFile
    events: GrowingFile
    older_events: Mapping[str, int]

    def lengths(self) -> dict[str, int]:
        """Return the length of the complete records of each file, in bytes, by file name."""
        now = {file.path.name: file.length for file in (self.metrics, self.events)}
        return {**self.older_events, **now}

    def needs_flush(self, *, durable: bool = False) -> bool:
        """Whether `flush` has something to do."""
        return self.metrics.needs_flush(durable=durable) or self.events.needs_flush(durable=durable)

    def flush(self, *, durable: bool = False) -> list[RecordError]:
        """Write the pending records of both files, even if one of them fails.

        Args:
            durable: Whether to wait until the records are on disk, so that they survive a power cut.

        Returns:
            The errors.
        """
        errors = []
        for file in (self.metrics, self.events):
            try:
                file.flush(durable=durable)
            except RecordError as error:
                errors.append(error)
        return errors


def new_files(folder: Path, header: bytes) -> RunFiles:
    """Create the files of a new run.

    Raises:
        RecordError: The folder already holds records, is missing, or cannot be written.
    """
    metrics = create_file(folder / metrics_csv.FILE_NAME, header)
    return RunFiles(metrics, _new_events_file(folder), {})


def continued_files(folder: Path, header: bytes, lengths: Mapping[str, int]) -> RunFiles:
    """Open the files of an earlier process, truncated to the given lengths; later events files are removed.

    New events are written to a new file: a running TensorBoard cannot continue to read a file that was truncated below
    its position.

    Raises:
        RecordError: A file is missing, is shorter than its length, or has other columns.
    """
    metrics = folder / metrics_csv.FILE_NAME
    older = {name: length for name, length in lengths.items() if name != metrics_csv.FILE_NAME}
    if metrics.name in lengths:
        _check_header(metrics, header)
        file = truncate_file(metrics, lengths[metrics.name])
    else:  # metrics.csv was lost before
        _remove([metrics])
        file = create_file(metrics, header)
    for name, length in older.items():
        truncate_file(folder / name, length)
    _remove([path for path in _events_files(folder) if path.name not in older])
    return RunFiles(file, _new_events_file(folder), older)


def _check_header(metrics: Path, header: bytes) -> None:
    """Check that a metrics.csv has the columns of a run.

    Raises:
        RecordError: The columns differ, or the file cannot be read.
    """
    try:
        with open_to_write(metrics) as handle:
            if handle.read(len(header)) != header:
                raise RecordError(f"cannot continue {metrics}: its columns are not those of this run")
    except OSError as error:
        raise failure(f"cannot continue {metrics}", error) from error


def restarted_files(folder: Path, header: bytes) -> RunFiles:
    """Create the files of a run that restarts; those of an earlier process are removed.

    Raises:
        RecordError: The folder is missing or cannot be written.
    """
    _remove([folder / metrics_csv.FILE_NAME, *_events_files(folder)])
    return new_files(folder, header)


def present_lengths(folder: Path) -> dict[str, int]:
    """Return the current lengths of the files, for a run that resumes there; nothing is changed.

    An incomplete last line of metrics.csv or record of an events file, as a power cut leaves it, is not counted.

    Args:
        folder: Run folder.

    Returns:
        File name -> length of its complete lines or records, in bytes.

    Raises:
        RecordError: metrics.csv is missing, or a file cannot be read.
    """
    metrics = folder / metrics_csv.FILE_NAME
    lengths = {metrics.name: _read(metrics).rfind(b"\n") + 1}
    return lengths | {path.name: framing.whole_records(_read(path)) for path in _events_files(folder)}


def has_columns_as_tags(folders: Iterable[Path], columns: Sequence[str]) -> bool:
    """Return whether the tags of earlier records are the names of their columns, as rnnbench 0.1.0 had them.

    The first folder with an events file that has scalars decides.

    Args:
        folders: The run folders.
        columns: Columns of the runs.
    """
    overview = f"{OVERVIEW}/".encode()
    for folder in folders:
        for path in _events_files(folder):
            try:
                with open_to_read(path) as handle:
                    start = handle.read(_START_BYTES)
            except OSError:
                continue
            if overview in start:
                return False
            if any(column.encode() in start for column in columns):
                return True
    return False


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise failure(f"cannot continue {path}", error) from error


def _remove(paths: Iterable[Path]) -> None:
    """Remove files; missing ones are ignored."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise failure(f"cannot remove {path}", error) from error


def _events_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{events.FILE_PREFIX}*"))


def _new_events_file(folder: Path) -> GrowingFile:
    """Create an events file that TensorBoard reads after the existing ones."""
    name = events.new_file_name(_events_files(folder))
    return create_file(folder / name, events.file_version())
