"""The compiled kernels of this process: loaded, and if necessary compiled, when they are first asked for."""

import threading
from collections.abc import Callable
from pathlib import Path

from rnnbench.native.build import UnavailableError, library
from rnnbench.native.calls import Library

_lock = threading.Lock()
_announce: Callable[[str], None] | None = None
_found: dict[str, dict[int, Library] | str] = {}  # by net; or why there are none


def announce_by(announce: Callable[[str], None]) -> None:
    """Set what receives a line for the user before a compilation, which the first call on a machine does."""
    global _announce
    _announce = announce


def kernels(net: str, item_size: int) -> Library:
    """Return the kernels of a net, "srn", "lstm" or "gru", for numbers of 4 or 8 bytes.

    Raises:
        UnavailableError: The kernels cannot be used; the torch reference serves. A second call does not try again.
    """
    with _lock:
        if net not in _found:
            libraries: dict[int, Library] = {}

            def load(path: Path) -> None:
                libraries.update({size: Library(path, size) for size in (4, 8)})

            try:
                library(net, load, _announce or (lambda line: None))
                _found[net] = libraries
            except UnavailableError as error:
                _found[net] = str(error)
        found = _found[net]
        if isinstance(found, str):
            raise UnavailableError(found)
        return found[item_size]


def unavailable_reason(net: str) -> str | None:
    """Why the kernels of a net cannot be used, as a clause for a message; None if they can be used."""
    try:
        kernels(net, 4)
    except UnavailableError as error:
        return str(error)
    return None


def forget() -> None:
    """Forget what was found, so that the next call looks again, for tests."""
    with _lock:
        _found.clear()
