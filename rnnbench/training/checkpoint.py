"""Checkpoints: everything that replicas need to go on, in one file, beside the one before it.

A checkpoint is what `torch.save` writes, a zip archive, and ends with a checksum of all bytes before it, as the comment
of the archive; `torch.load(path, weights_only=True)` reads it like any other.
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
"""Version of the contents; a later program refuses what it cannot read."""

FORMAT_WITHOUT_CHECKSUM = 3
"""The version before it, which is read too. Of it the checksums are checked that a zip archive has of each part: they
find what has changed in a tensor, but not all that has changed in the archive's lists of its parts."""

_LABEL = b"rnnbench crc32 "
_TRAILER = struct.Struct(f"<H{len(_LABEL)}s8s")  # length of the comment, and the comment: label and checksum
_NO_COMMENT = struct.pack("<H", 0)


def previous_checkpoint(path: Path) -> Path:
    """Where the checkpoint before the latest one is kept: N.previous.pt beside N.pt."""
    return path.with_suffix(f".previous{path.suffix}")


def save_checkpoint(path: Path, contents: dict[str, Any], *, keep_previous: bool = True) -> None:
    """Replace a checkpoint, so that whoever reads it at any moment finds the old or the new one, whole.

    Args:
        path: The file.
        contents: Tensors, numbers, strings, lists and dictionaries of these; `format` is added.
        keep_previous: Keep the old one as `previous_checkpoint`.

    Raises:
        RecordError: It could not be written; an old checkpoint is still there.
    """
    try:
        with replacing(path, previous=previous_checkpoint(path) if keep_previous else None) as file:
            summing = _SummingFile(file)
            torch.save({**contents, "format": FORMAT}, summing)  # type: ignore[arg-type] # it asks for no more
            file.seek(-len(_NO_COMMENT), io.SEEK_END)
            file.write(_trailer(summing.checksum))
    except RuntimeError as error:  # what torch makes of a full disk
        raise MachineError(f"cannot write {path}: {error}") from error


class _SummingFile:
    """Passes on what torch writes, one part after the other, and keeps the checksum of it all."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.checksum = 0

    def write(self, data: bytes) -> int:
        self.checksum = zlib.crc32(data, self.checksum)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def _trailer(checksum: int) -> bytes:
    """What an archive without a comment gets in place of its last two bytes, the length of the comment."""
    return _TRAILER.pack(_TRAILER.size - len(_NO_COMMENT), _LABEL, f"{checksum:08x}".encode())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, running no code that is in it.

    Returns:
        What `save_checkpoint` was given. What `Snapshot.from_contents` takes of it has been checked.

    Raises:
        RecordError: It is missing, damaged, or of another format.
    """
    try:
        written = read_file(path)
    except OSError as error:
        raise failure(f"cannot read {path}", error) from error
    is_whole = written[-_TRAILER.size :] == _trailer(zlib.crc32(_NO_COMMENT, zlib.crc32(written[: -_TRAILER.size])))
    if not is_whole and not _are_parts_whole(written):
        raise RecordError(f"{path} is damaged, or is no checkpoint: its checksum is not that of its contents")
    try:
        contents = torch.load(io.BytesIO(written), weights_only=True, map_location="cpu")
    except Exception as error:  # whatever the reader makes of another archive
        raise RecordError(f"{path} is no checkpoint of rnnbench") from error
    if not isinstance(contents, dict) or not isinstance(contents.get("format"), int):
        raise RecordError(f"{path} is no checkpoint of rnnbench")
    if contents["format"] not in (FORMAT, FORMAT_WITHOUT_CHECKSUM):
        raise RecordError(f"{path} is a checkpoint of format {contents['format']}, this program reads {FORMAT}")
    if contents["format"] == FORMAT and not is_whole:
        raise RecordError(f"{path} is damaged: its checksum is not that of its contents")
    try:
        check_snapshot(contents)
    except ValueError as error:
        raise RecordError(f"{path} is damaged: {error}") from error
    return contents


def _are_parts_whole(written: bytes) -> bool:
    """Whether each part of an archive has the checksum that the archive holds of it."""
    try:
        with zipfile.ZipFile(io.BytesIO(written)) as archive:
            return archive.testzip() is None
    except Exception:  # whatever the reader makes of any bytes
        return False
