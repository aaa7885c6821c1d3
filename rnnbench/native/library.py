"""The compiled kernels of this process: loaded, and if necessary compiled, when they are first asked for."""

import threading
from collections.abc import Callable
from pathlib import Path

from rnnbench.native.build import UnavailableError, library
from rnnbench.native.calls import Library

_lock = threading.Lock()
_announce: Callable[[str], None] | None = None
_found: dict[int, Library] | str | None = None  # or why there are none


def announce_by(announce: Callable[[str], None]) -> None:
    """Set what receives a line for the user before a compilation, which the first call on a machine does."""
    global _announce
    _announce = announce


def kernels(item_size: int) -> Library:
    """Return the kernels for numbers of 4 or 8 bytes.

    Raises:
        UnavailableError: The kernels cannot be used; the torch reference serves. A second call does not try again.
    """
    global _found
    with _lock:
        if _found is None:
            libraries: dict[int, Library] = {}

            def load(path: Path) -> None:
                libraries.update({size: Library(path, size) for size in (4, 8)})

            try:
                library(load, _announce or (lambda line: None))
                _found = libraries
            except UnavailableError as error:
                _found = str(error)
        if isinstance(_found, str):
            raise UnavailableError(_found)
        return _found[item_size]


def unavailable_reason() -> str | None:
    """Why the kernels cannot be used, as a clause for a message; None if they can be used."""
    try:
        kernels(4)
    except UnavailableError as error:
        return str(error)
    return None


def forget() -> None:
    """Forget what was found, so that the next call looks again, for tests."""
    global _found
    with _lock:
        _found = None
