"""The two growing files of a run folder: made for a new run, or cut back to continue an earlier one."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rnnbench.records import events, metrics_csv
from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import GrowingFile, create_file, cut_file, reason


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
    try:
        with open(metrics, "rb") as handle:
            if handle.readline() != header:
                raise RecordError(f"cannot continue {metrics}: its columns are not those of this run")
    except OSError as error:
        raise RecordError(f"cannot continue {metrics}: {reason(error)}") from error
    file = cut_file(metrics, lengths[metrics_csv.FILE_NAME])
    for name, length in older.items():
        cut_file(folder / name, length)
    for path in folder.glob(f"{events.FILE_PREFIX}*"):
        if path.name not in older:
            path.unlink()
    return RunFiles(file, _new_events_file(folder), older)


def _new_events_file(folder: Path) -> GrowingFile:
    """An events file that TensorBoard reads after those that are there."""
    name = events.new_file_name(folder.glob(f"{events.FILE_PREFIX}*"))
    return create_file(folder / name, events.file_version())
