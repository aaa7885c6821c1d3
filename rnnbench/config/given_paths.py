"""Paths of existing folders, as a command or a function is given them."""

from pathlib import Path

from rnnbench.config.errors import ConfigError
from rnnbench.config.nearest import did_you_mean
from rnnbench.records.summary import what_is_in

MOST_SHOWN = 100
"""Largest number of characters of an argument in a message."""


def shortened(text: str) -> str:
    """A text for a message, cut off if it is long."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def given_path(given: str) -> Path:
    """The path that a text names, with ~ expanded.

    Raises:
        ConfigError: The text is empty, or cannot be a path.
    """
    if not given.strip():
        raise ConfigError(f"a folder is needed, got the empty name {given!r}")
    try:
        path = Path(given).expanduser()
        path.exists()
    except PermissionError:
        return path
    except (OSError, RuntimeError) as error:  # a name that is too long, or a home folder of nobody
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"there is no folder {shortened(given)}: {reason}") from error
    if "\0" in given:
        raise ConfigError(f"there is no folder {given!r}")
    return path


def no_folder(path: Path) -> str:
    """The message for a path that is no folder; if it is a file inside a run or a sweep, the message names that."""
    if not path.is_file():
        return f"there is no folder {path}"
    near = next((parent for parent in path.parents if what_is_in(parent) is not None), None)
    return f"{path} is a file, not a folder{did_you_mean([] if near is None else [str(near)])}"
