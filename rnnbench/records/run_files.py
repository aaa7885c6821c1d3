"""The two growing files of a run folder: made for a new run, or cut back to continue an earlier one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rnnbench.records import events, framing, metrics_csv
from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import GrowingFile, create_file, cut_file, failure
from rnnbench.records.plain_file import open_to_write, read_file


@dataclass(frozen=True)
class RunFiles:
    """Files of one run folder.

    Attributes:
        metrics: metrics.csv.
        events: The events file that is written now.
        older_events: Name -> bytes of the events files that earlier processes wrote.
    """

    metrics: GrowingFile
    events: GrowingFile
    older_events: Mapping[str, int]

    def lengths(self) -> dict[str, int]:
        """File name -> bytes that hold whole records."""
        now = {file.path.name: file.length for file in (self.metrics, self.events)}
        return {**self.older_events, **now}

    def needs_flush(self, *, durable: bool = False) -> bool:
        """Whether `flush` has something to do."""
        return self.metrics.needs_flush(durable=durable) or self.events.needs_flush(durable=durable)

    def flush(self, *, durable: bool = False) -> list[RecordError]:
        """Write what is pending in both files; one that fails does not keep the other from being written.

        Args:
            durable: Also wait until the disk has it, so that it survives a power cut.

        Returns:
            What went wrong.
        """
        errors = []
        for file in (self.metrics, self.events):
            try:
                file.flush(durable=durable)
            except RecordError as error:
                errors.append(error)
        return errors


def new_files(folder: Path, header: bytes) -> RunFiles:
    """Files of a new run.

    Raises:
        RecordError: The folder already holds records, is missing or cannot be written.
    """
    metrics = create_file(folder / metrics_csv.FILE_NAME, header)
    return RunFiles(metrics, _new_events_file(folder), {})


def continued_files(folder: Path, header: bytes, lengths: Mapping[str, int]) -> RunFiles:
    """Files of an earlier process, cut back to the lengths that they had; later events files are removed.

    The events go on in a new file: a TensorBoard that is open on the folder would stumble over one that was cut below
    the place to which it has read.

    Raises:
        RecordError: The files are missing, are shorter than they were, or have other columns.
    """
    metrics = folder / metrics_csv.FILE_NAME
    older = {name: length for name, length in lengths.items() if name != metrics_csv.FILE_NAME}
    if metrics.name in lengths:
        _check_header(metrics, header)
        file = cut_file(metrics, lengths[metrics.name])
    else:  # it had been lost before
        _remove([metrics])
        file = create_file(metrics, header)
    for name, length in older.items():
        cut_file(folder / name, length)
    _remove([path for path in _events_files(folder) if path.name not in older])
    return RunFiles(file, _new_events_file(folder), older)


def _check_header(metrics: Path, header: bytes) -> None:
    """Check that a metrics.csv has the columns of a run.

    Raises:
        RecordError: It has not, or cannot be read.
    """
    try:
        with open_to_write(metrics) as handle:
            if handle.read(len(header)) != header:
                raise RecordError(f"cannot continue {metrics}: its columns are not those of this run")
    except OSError as error:
        raise failure(f"cannot continue {metrics}", error) from error


def restarted_files(folder: Path, header: bytes) -> RunFiles:
    """Files of a run that begins anew; those of an earlier process are removed.

    Raises:
        RecordError: The folder is missing or cannot be written.
    """
    _remove([folder / metrics_csv.FILE_NAME, *_events_files(folder)])
    return new_files(folder, header)


def present_lengths(folder: Path) -> dict[str, int]:
    """Lengths of the files as an earlier process left them, for a run that goes on from there; nothing is changed.

    What a power cut can leave, half a line of metrics.csv or half a record of an events file, is not counted.

    Args:
        folder: The run folder.

    Returns:
        File name -> bytes of whole lines and records.

    Raises:
        RecordError: metrics.csv is missing, or a file cannot be read.
    """
    metrics = folder / metrics_csv.FILE_NAME
    lengths = {metrics.name: _read(metrics).rfind(b"\n") + 1}
    return lengths | {path.name: framing.whole_records(_read(path)) for path in _events_files(folder)}


def _read(path: Path) -> bytes:
    try:
        return read_file(path)
    except OSError as error:
        raise failure(f"cannot continue {path}", error) from error


def _remove(paths: Iterable[Path]) -> None:
    """Remove files, as far as they are there."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise failure(f"cannot remove {path}", error) from error


def _events_files(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"{events.FILE_PREFIX}*"))


def _new_events_file(folder: Path) -> GrowingFile:
    """An events file that TensorBoard reads after those that are there."""
    name = events.new_file_name(_events_files(folder))
    return create_file(folder / name, events.file_version())
