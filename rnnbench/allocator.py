"""How the C library's allocator treats what is freed."""

import ctypes
import os
import sys

MALLOC_VARIABLES = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
SMALLEST_GIVEN_BACK, MOST_KEPT_FREE = 2**28, 2**30


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for what is allocated next, unless the environment says what it should do.

    By default it gives blocks above 32 MiB, and what is free at the end of its heap, back to the system at once, and
    the next batch or workspace is paid for page by page: a gradient of torch's LSTM operation at (1, 100, 100, 100)
    takes 1.5 times as long. Kept are at most `MOST_KEPT_FREE` bytes, beside holes in the heap. Without glibc nothing is
    done.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None and os.environ.keys().isdisjoint(MALLOC_VARIABLES):
        mallopt(M_MMAP_THRESHOLD, SMALLEST_GIVEN_BACK)
        mallopt(M_TRIM_THRESHOLD, MOST_KEPT_FREE)
