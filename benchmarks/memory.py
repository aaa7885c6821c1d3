"""Peak memory of a piece of work, from the process's own accounts."""

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): sets the peak of the resident set to its present size

_Result = TypeVar("_Result")


def peak_bytes(work: Callable[[], _Result]) -> tuple[_Result, int | None]:
    """Do some work and measure how far the resident set grew above its size before.

    Returns:
        What the work returned, and bytes; None where the system does not tell (other than Linux).
    """
    gc.collect()
    _give_back_free_memory()
    try:
        _CLEAR.write_text(_RESET_PEAK)
        before = _resident("VmRSS")
    except OSError:
        return work(), None
    result = work()
    return result, max(0, _resident("VmHWM") - before)


def _resident(name: str) -> int:
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[name].split()[0]) * 1024


def _give_back_free_memory() -> None:
    """Let glibc return what it keeps for later: it would hide as much of what the work takes."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return  # another C library
