"""Settings of the memory allocator: huge pages, and freed memory that the process keeps."""

import ctypes
import os
import sys

MALLOC_VARIABLES = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # constants of malloc.h
MMAP_THRESHOLD, MAX_KEPT_FREE = 2**28, 2**30  # bytes

HUGE_PAGES_VARIABLE, HUGE_PAGES_ENABLED = "THP_MEM_ALLOC_ENABLE", "1"  # torch reads it for the first tensor


def prepare_allocator() -> None:
    """Back large tensors with huge pages and keep freed memory; call this before the first tensor is allocated.

    By default glibc returns blocks above 32 MiB, and free memory at the end of its heap, to the system at once. The
    next batch or workspace then faults in every page of 4 KiB again: a gradient of torch's LSTM operation at
    (1, 100, 100, 100) takes 1.8 times as long. Two settings avoid this on Linux:

    - torch requests huge pages for every tensor of at least 2 MiB. This also helps worker threads, whose heaps glibc
      shrinks regardless of its settings, and it lets freed blocks be reused: with the usual alignment of 64 bytes a
      freed block is a few bytes too small for the next tensor of the same size, so that several blocks accumulate.
    - glibc keeps freed memory for later allocations: at most `MAX_KEPT_FREE` bytes at the end of its heap, and holes
      within it. Versions before 2.35 ignore this setting.

    Environment variables that are set already take precedence. Child processes inherit the first setting. On other
    systems nothing is changed.
    """
    if sys.platform != "linux":
        return
    os.environ.setdefault(HUGE_PAGES_VARIABLE, HUGE_PAGES_ENABLED)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and os.environ.keys().isdisjoint(MALLOC_VARIABLES):
        mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        mallopt(M_TRIM_THRESHOLD, MAX_KEPT_FREE)
