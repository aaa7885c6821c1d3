"""What is freed is kept for what is allocated next."""

import ctypes
import os
import subprocess
import sys

import pytest

from rnnbench.allocator import MALLOC_VARIABLES

on_glibc = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "mallopt"), reason="needs glibc, whose malloc it is about"
)

PROGRAM = """
import resource
import torch
from rnnbench.allocator import keep_freed_memory

keep_freed_memory()
counts = []
for _ in range(6):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(25_000_000).fill_(0)
    counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(*counts)
"""


def page_faults(**environment: str) -> list[int]:
    """Of 100 MB taken and freed six times over."""
    own = {name: value for name, value in os.environ.items() if name not in MALLOC_VARIABLES}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**own, **environment}, capture_output=True, text=True, check=True
    )
    return [int(count) for count in run.stdout.split()]


@on_glibc
def test_a_freed_block_is_not_paid_for_again() -> None:
    first, *later = page_faults()
    assert min(later) < first / 10  # not each time: a small block may lie in the way


@on_glibc
def test_the_environment_has_the_last_word() -> None:
    first, *later = page_faults(MALLOC_MMAP_THRESHOLD_="1000000")
    assert min(later) > first / 2
