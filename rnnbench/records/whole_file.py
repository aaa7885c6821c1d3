"""A small file that is replaced as a whole: whoever reads it at any moment finds the old or the new one."""

import contextlib
import os
from pathlib import Path

from rnnbench.records.growing_file import failure


def replace_file(path: Path, contents: str, *, durable: bool = True) -> None:
    """Replace a file.

    Args:
        path: The file; it need not exist.
        contents: Its text.
        durable: Also wait until the disk has it, so that it survives a power cut.

    Raises:
        RecordError: It cannot be written; the old one is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with open(temporary, "w", encoding="utf-8") as handle:
                handle.write(contents)
                if durable:
                    handle.flush()
                    os.fsync(handle.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise failure(f"cannot write {path}", error) from error
