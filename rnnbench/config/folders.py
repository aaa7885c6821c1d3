"""The run folder: checked before any work, and taken when the work begins."""

import itertools
import os
from pathlib import Path

from rnnbench.config.errors import ConfigError
from rnnbench.records.summary import is_run_folder


def check_folder(folder: Path, key: str) -> None:
    """Check that a run can be written into a folder, creating nothing.

    Args:
        folder: Its path; it need not exist.
        key: The key that decides it, for the message.

    Raises:
        ConfigError: It holds a run already, is no folder, or cannot be made or written.
    """
    try:
        if is_run_folder(folder):
            raise ConfigError(
                f"{folder} holds a run already: continue it with `rnnbench resume {folder}`, or choose another {key}"
            )
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        raise ConfigError(f"{key}: {folder} cannot be used: {error.strerror}") from error
    if not existing.is_dir():
        raise ConfigError(f"{key}: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"{key}: {folder} cannot be written: no permission in {existing}")


def take_folder(folder: Path, key: str, *, numbered: bool) -> Path:
    """Make a folder for one run alone.

    Args:
        folder: Its path.
        key: The key that decides it, for the message.
        numbered: Whether to take the first free one of FOLDER, FOLDER_2, FOLDER_3, ... where it exists already, as when
            two runs start in the same second.

    Returns:
        The folder, which exists.

    Raises:
        ConfigError: It cannot be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not numbered:
            folder.mkdir(exist_ok=True)
            return folder
        for count in itertools.count(1):
            candidate = folder if count == 1 else folder.with_name(f"{folder.name}_{count}")
            try:
                candidate.mkdir()
            except FileExistsError:
                continue
            return candidate
        raise AssertionError("the count does not end")
    except OSError as error:
        raise ConfigError(f"{key}: {folder} cannot be made: {error.strerror}") from error
