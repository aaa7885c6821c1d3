"""Peak memory of a function call, from the statistics of the process."""

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5): resets the peak of the resident set to its current size

_Result = TypeVar("_Result")


def peak_bytes(work: Callable[[], _Result]) -> tuple[_Result, int | None]:
    """Call a function and measure the growth of the resident set during the call.

    Returns:
        The function's result, and the growth in bytes; None: unknown (not on Linux).
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
    """Let glibc return free memory to the system; otherwise its reuse would hide part of the growth."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return  # another C library
