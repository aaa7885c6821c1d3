"""How memory is had from the system, and when it is given back."""

import ctypes
import os
import sys

MALLOC_VARIABLES = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
SMALLEST_GIVEN_BACK, MOST_KEPT_FREE = 2**28, 2**30

HUGE_PAGES_VARIABLE, HUGE_PAGES_ASKED = "THP_MEM_ALLOC_ENABLE", "1"  # torch reads it with the first tensor


def prepare_allocator() -> None:
    """Have memory paid for in large pages, and once; to be called before the process makes its first tensor.

    By default glibc gives blocks above 32 MiB, and what is free at the end of its heap, back to the system at once, and
    the next batch or workspace is paid for again, in pages of 4 KiB: a gradient of torch's LSTM operation at
    (1, 100, 100, 100) takes 1.8 times as long. Two remedies:

    - On Linux torch asks for huge pages for every tensor of at least 2 MiB. This also helps threads, whose heaps glibc
      gives back whatever is asked, and it lets a freed block serve again: the usual alignment of 64 bytes leaves blocks
      a few bytes too small for their own successors, so that several of a size pile up.
    - glibc keeps what is freed for what is allocated next: at most `MOST_KEPT_FREE` bytes at the end of its heap, and
      holes in it. Versions before 2.35 refuse.

    The environment has the last word on either, and processes that are started inherit the first. Nothing is done
    where the system is another.
    """
    if sys.platform != "linux":
        return
    os.environ.setdefault(HUGE_PAGES_VARIABLE, HUGE_PAGES_ASKED)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and os.environ.keys().isdisjoint(MALLOC_VARIABLES):
        mallopt(M_MMAP_THRESHOLD, SMALLEST_GIVEN_BACK)
        mallopt(M_TRIM_THRESHOLD, MOST_KEPT_FREE)
