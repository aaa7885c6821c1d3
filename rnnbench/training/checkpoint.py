"""Checkpoints: everything that replicas need to go on, in one file."""

import contextlib
import os
from pathlib import Path
from typing import Any

import torch

from rnnbench.records.errors import MachineError, RecordError
from rnnbench.records.growing_file import failure

FORMAT = 3
"""Version of the contents; a later program refuses what it cannot read."""


def save_checkpoint(path: Path, contents: dict[str, Any]) -> None:
    """Replace a checkpoint, so that whoever reads it at any moment finds the old or the new one, whole.

    Args:
        path: The file.
        contents: Tensors, numbers, strings, lists and dictionaries of these; `format` is added.

    Raises:
        RecordError: It could not be written; an old checkpoint is still there.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            torch.save({"format": FORMAT, **contents}, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise failure(f"cannot write {path}", error) from error
    except RuntimeError as error:  # what torch makes of a full disk
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise MachineError(f"cannot write {path}: {error}") from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, running no code that is in it.

    Raises:
        RecordError: It is of another format.
    """
    contents: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    if contents.get("format") != FORMAT:
        raise RecordError(f"{path} is a checkpoint of format {contents.get('format')}, this program reads {FORMAT}")
    return contents
