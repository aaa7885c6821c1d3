"""Memory is had in large pages, and what is freed is kept for what is allocated next."""

import os
import platform
import subprocess
import sys

import pytest

from rnnbench.run.allocator import HUGE_PAGES_VARIABLE, MALLOC_VARIABLES

LIBRARY, VERSION = platform.libc_ver()
on_glibc = pytest.mark.skipif(
    LIBRARY != "glibc" or tuple(map(int, VERSION.split("."))) < (2, 35), reason="glibc from 2.35 on alone is told"
)
on_linux = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="elsewhere torch may have another allocator"
)

BLOCK = 100_000_000

MALLOC = f"""
import ctypes
from rnnbench.run.allocator import prepare_allocator

class Statistics(ctypes.Structure):  # mallinfo2 of malloc.h
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

prepare_allocator()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.mallinfo2.restype = Statistics
mapped, heap = libc.mallinfo2().hblkhd, libc.mallinfo2().arena
block = libc.malloc({BLOCK})
print(libc.mallinfo2().hblkhd - mapped)
libc.free(block)
print(libc.mallinfo2().arena - heap)
"""

TENSORS = """
import mmap
import rnnbench.__main__
import rnnbench.cli

def main():
    import torch
    tensors = [torch.empty(2**20 + 1000 * i) for i in range(8)]
    print(*(tensor.data_ptr() % mmap.PAGESIZE for tensor in tensors))
    return 0

rnnbench.cli.main = main
rnnbench.__main__.run()
"""


def printed(program, **environment):
    """The numbers that a program prints where the environment says nothing else of memory."""
    ours = (*MALLOC_VARIABLES, HUGE_PAGES_VARIABLE)
    rest = {name: value for name, value in os.environ.items() if name not in ours}
    run = subprocess.run(
        [sys.executable, "-c", program], env={**rest, **environment}, capture_output=True, text=True, check=True
    )
    return [int(word) for word in run.stdout.split()]


@on_glibc
def test_a_freed_block_is_kept_in_the_heap():
    mapped, kept = printed(MALLOC)
    assert mapped == 0
    assert kept >= BLOCK


@on_glibc
def test_a_variable_of_malloc_has_the_last_word():
    mapped, kept = printed(MALLOC, MALLOC_MMAP_THRESHOLD_="1000000")
    assert mapped >= BLOCK
    assert kept < BLOCK


@on_linux
def test_large_tensors_start_at_pages():
    # and those pages torch then asks to be huge
    assert not any(printed(TENSORS))


@on_linux
def test_a_variable_of_torch_has_the_last_word():
    assert any(printed(TENSORS, THP_MEM_ALLOC_ENABLE="0"))
