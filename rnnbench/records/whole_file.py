"""Files that are replaced as a whole: whoever reads one at any moment finds the old or the new one."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from rnnbench.records.growing_file import failure


def replace_file(path: Path, contents: str, *, durable: bool = True) -> None:
    """Replace a file by a text.

    Args:
        path: The file; it need not exist.
        contents: Its text.
        durable: Also wait until the disk has it, so that it survives a power cut.

    Raises:
        RecordError: It cannot be written; the old one is untouched.
    """
    with replacing(path, durable=durable) as handle:
        handle.write(contents.encode(errors="backslashreplace"))


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True, previous: Path | None = None) -> Iterator[BinaryIO]:
    """Write a file that takes the place of another one at the end, if nothing goes wrong.

    It is written beside it under a name of its own, as a new file: what is there under that name is removed, so a
    symbolic link is never written through.

    Args:
        path: The file; it need not exist.
        durable: Also wait until the disk has it, so that it survives a power cut.
        previous: Name under which the old file is kept, in the same folder; None: it is not kept.

    Yields:
        The new file, to be written.

    Raises:
        RecordError: It cannot be written; the old one is untouched.
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
    """Give a file a second name, under which it stays when it is replaced; one of the two is there at any moment."""
    previous.unlink(missing_ok=True)
    try:
        os.link(path, previous, follow_symlinks=False)
    except OSError:  # a file system without hard links
        os.replace(path, previous)
