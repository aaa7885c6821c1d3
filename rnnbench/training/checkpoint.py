"""Checkpoints: one file with everything that is needed to resume replicas; the previous checkpoint is kept too.

A checkpoint is a file of `torch.save`, a zip archive, whose archive comment is a checksum of all bytes before it.
`torch.load(path, weights_only=True)` reads it like any other.
"""

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import torch

from rnnbench.records.errors import MachineError, RecordError
from rnnbench.records.growing_file import failure
from rnnbench.records.plain_file import read_file
from rnnbench.records.whole_file import replacing
from rnnbench.training.replica import check_snapshot

FORMAT = 4
"""Version of the file format; files of unknown versions are refused."""

FORMAT_WITHOUT_CHECKSUM = 3
"""The previous version, which can be read too. It has only the checksums that a zip archive keeps of each part: they
reveal every change of a tensor, but not every change of the archive's directory."""

_LABEL = b"rnnbench crc32 "
_TRAILER = struct.Struct(f"<H{len(_LABEL)}s8s")  # length of the comment, and the comment: label and checksum
_NO_COMMENT = struct.pack("<H", 0)


def previous_checkpoint(path: Path) -> Path:
    """Return the path of the checkpoint before the latest one: N.previous.pt for N.pt."""
    return path.with_suffix(f".previous{path.suffix}")


def save_checkpoint(path: Path, contents: dict[str, Any], *, keep_previous: bool = True) -> None:
    """Replace a checkpoint atomically: a reader always sees either the complete old file or the complete new one.

    Args:
        path: Path of the checkpoint.
        contents: Tensors, numbers, strings, and lists and dictionaries of these; `format` is added.
        keep_previous: Whether the old file is kept as `previous_checkpoint`.

    Raises:
        RecordError: The file could not be written; the old checkpoint is still there.
    """
    try:
        with replacing(path, previous=previous_checkpoint(path) if keep_previous else None) as file:
            summing = _SummingFile(file)
            torch.save({**contents, "format": FORMAT}, summing)  # type: ignore[arg-type] # needs write and flush only
            file.seek(-len(_NO_COMMENT), io.SEEK_END)
            file.write(_trailer(summing.checksum))
    except RuntimeError as error:  # torch raises it if the disk is full
        raise MachineError(f"cannot write {path}: {error}") from error


class _SummingFile:
    """Forwards writes to a file and computes the checksum of all bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.checksum = 0

    def write(self, data: bytes) -> int:
        self.checksum = zlib.crc32(data, self.checksum)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _trailer(checksum: int) -> bytes:
    """Return the bytes that replace the last two of an archive without comment (the length of the comment, 0)."""
    return _TRAILER.pack(_TRAILER.size - len(_NO_COMMENT), _LABEL, f"{checksum:08x}".encode())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without running any code in it.

    Returns:
        The contents that were saved. The entries that `Snapshot.from_contents` needs have been checked.

    Raises:
        RecordError: The file is missing, damaged, or of another format.
    """
    try:
        written = read_file(path)
    except OSError as error:
        raise failure(f"cannot read {path}", error) from error
    is_whole = written[-_TRAILER.size :] == _trailer(zlib.crc32(_NO_COMMENT, zlib.crc32(written[: -_TRAILER.size])))
    if not is_whole and not _are_parts_whole(written):
        raise RecordError(f"{path} is damaged, or is not a checkpoint: the checksum does not match the contents")
    try:
        contents = torch.load(io.BytesIO(written), weights_only=True, map_location="cpu")
    except Exception as error:  # torch.load raises errors of many types
        raise RecordError(f"{path} is not a checkpoint of rnnbench") from error
    if not isinstance(contents, dict) or not isinstance(contents.get("format"), int):
        raise RecordError(f"{path} is not a checkpoint of rnnbench")
    if contents["format"] not in (FORMAT, FORMAT_WITHOUT_CHECKSUM):
        raise RecordError(f"{path} has checkpoint format {contents['format']}; this version reads format {FORMAT}")
    if contents["format"] == FORMAT and not is_whole:
        raise RecordError(f"{path} is damaged: the checksum does not match the contents")
    try:
        check_snapshot(contents)
    except ValueError as error:
        raise RecordError(f"{path} is damaged: {error}") from error
    return contents


def _are_parts_whole(written: bytes) -> bool:
    """Whether each part of a zip archive matches its checksum."""
    try:
        with zipfile.ZipFile(io.BytesIO(written)) as archive:
            return archive.testzip() is None
    except Exception:  # zipfile raises errors of many types for damaged files
        return False
