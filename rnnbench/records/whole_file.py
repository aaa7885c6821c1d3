"""Atomic replacement of files: a reader always sees either the complete old file or the complete new one."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rnnbench.records.growing_file import failure


def replace_file(path: Path, contents: str, *, durable: bool = True) -> None:
    """Replace a file atomically by a text.

    Args:
        path: Path of the file; it need not exist.
        contents: New text.
        durable: Whether to wait until the file is on disk, so that it survives a power cut.

    Raises:
        RecordError: The file cannot be written; the old one is unchanged.
    """
    with replacing(path, durable=durable) as handle:
        handle.write(contents.encode(errors="backslashreplace"))


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True, previous: Path | None = None) -> Iterator[BinaryIO]:
    """Open a new file that replaces an existing one when the context ends without an error.

    The new file is written under a temporary name in the same folder. Anything that has this name is removed first, so
    that symbolic links are not followed.

    Args:
        path: Path of the file; it need not exist.
        durable: Whether to wait until the file is on disk, so that it survives a power cut.
        previous: Path in the same folder under which the old file is kept; None: it is not kept.

    Yields:
        The new file, open for writing.

    Raises:
        RecordError: The file cannot be written; the old one is unchanged.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        try:
            with open(temporary, "xb") as handle:
                yield handle
                handle.flush()
                if durable:
                    os.fsync(handle.fileno())
            if previous is not None and path.exists():
                _keep(path, previous)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise failure(f"cannot write {path}", error) from error


def _keep(path: Path, previous: Path) -> None:
    """Give a file a second name that survives its replacement; at any moment one of the two names exists."""
    previous.unlink(missing_ok=True)
    try:
        os.link(path, previous, follow_symlinks=False)
    except OSError:  # a file system without hard links
        os.replace(path, previous)
