"""Exceptions raised by a user's own class, reported in one line: the part, the exception, and where it was raised."""

import inspect
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnnbench.config.classes import is_own
from rnnbench.config.errors import ConfigError

PACKAGE = Path(__file__).parents[1]


def fault(key: str, error: Exception, parts: Mapping[str, Any] | None = None) -> ConfigError:
    """The error to show for an exception of a class outside rnnbench.

    Args:
        key: Dotted key of the part that was running.
        error: The exception; a `ConfigError` is returned as it is.
        parts: Object or class of each part by dotted key; if one of them, from the user's own file, raised the
            exception, the error names its key instead.
    """
    if isinstance(error, ConfigError):
        return error
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own_file(frame.filename)]
    if own:
        files = {_file(part): each for each, part in (parts or {}).items()}
        key = files.get(own[-1].filename, key)
    text = " ".join(str(error).split())
    place = f" ({_short(own[-1].filename)}, line {own[-1].lineno})" if own else ""
    raised = text if isinstance(error, ValueError) and text else f"{type(error).__name__}: {text}"
    return ConfigError(f"{key}: {raised}{place}; HYDRA_FULL_ERROR=1 shows the traceback")


def _is_own_file(name: str) -> bool:
    path = Path(name)
    return path.is_file() and not path.is_relative_to(PACKAGE) and "site-packages" not in path.parts


def _file(part: Any) -> str | None:
    """The file that defines the class of a user's own part; None for one of rnnbench."""
    kind = part if isinstance(part, type) else type(part)
    if not is_own(kind):
        return None
    try:
        return inspect.getsourcefile(kind)
    except TypeError:
        return None


def _short(name: str) -> str:
    """A path relative to the current folder, if it lies inside."""
    path = Path(name)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else name
