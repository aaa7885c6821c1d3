"""Arguments of the functions: a wrong type is bad input, reported before any work."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rnnbench.config.errors import ConfigError
from rnnbench.config.given_paths import given_path, shortened

Folder = str | os.PathLike[str]


def folder_of(name: str, value: Any) -> Path:
    """The path of a folder, which need not exist.

    Args:
        name: Name of the argument.
        value: A path.

    Raises:
        ConfigError: The value is no path, or empty.
    """
    path = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(path, str):
        raise _wrong(name, "the path of a folder", value)
    try:
        return given_path(path)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from error


def folders_of(name: str, value: Any) -> list[Path]:
    """The paths of one folder or several; raises as `folder_of` does."""
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | os.PathLike):
        return [folder_of(name, each) for each in value]
    return [folder_of(name, value)]


def names_of(name: str, value: Any) -> list[str]:
    """One name or several.

    Args:
        name: Name of the argument.
        value: A string, or several.

    Raises:
        ConfigError: The value is something else.
    """
    names: list[Any] = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    if not all(isinstance(each, str) for each in names):
        raise _wrong(name, "a string, or several", value)
    return names


def text_of(name: str, value: Any) -> str:
    """A text that is not empty; raises as `names_of` does."""
    if not isinstance(value, str) or not value:
        raise _wrong(name, "a string that is not empty", value)
    return value


def check_flags(**flags: Any) -> None:
    """Check that arguments are True or False; raises as `names_of` does."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise _wrong(name, "True or False", value)


def check_overrides(overrides: Iterable[Any]) -> None:
    """Check that overrides are strings, and no options of the command; raises as `names_of` does."""
    for override in overrides:
        if not isinstance(override, str):
            raise ConfigError(f'overrides must be strings, as in "optim.lr=0.1", got {shortened(repr(override))}')
        if override.startswith("-"):
            raise ConfigError(f"{override}: options of the command are keyword arguments in Python, as in quiet=True")


def _wrong(name: str, expected: str, value: Any) -> ConfigError:
    """The error for an argument of another type."""
    return ConfigError(f"{name} must be {expected}, got {shortened(repr(value))}")
