"""What tensor cores make of a product in three TF32 parts, for Triton's interpreter, whose own products are exact ones.

A tensor core adds up the products of a few terms and what came before them exactly but for bits far below the largest
of these, and then cuts the sum off: it rounds toward zero, always (Fasi, Higham, Mikaitis and Pranesh 2021, "Numerical
behavior of NVIDIA tensor cores", PeerJ Computer Science 7). Where a product is one long sum, such errors add up (Ootomo
and Yokota 2022, "Recovering single precision accuracy from Tensor Cores", IJHPCA 36).
"""

import numpy as np

TERMS_AT_ONCE = 8
"""Of an instruction (m16n8k8). The A100 cuts off after every four."""

EXTRA_BITS = 3
"""Kept below the last one of the largest term."""

TF32_BITS = 13
"""Of a float32's 23, that TF32 has not."""


def to_tf32(x):
    """The nearest of ten bits, as the instruction cvt.rna.tf32 has it."""
    bits = np.ascontiguousarray(x, dtype=np.float32).view(np.uint32)
    half = np.uint32(1 << (TF32_BITS - 1))
    return ((bits + half) & np.uint32(~((1 << TF32_BITS) - 1) & 0xFFFFFFFF)).view(np.float32)


def toward_zero(x):
    """Float64 numbers as float32, cut off."""
    nearest = x.astype(np.float32)
    is_beyond = np.abs(nearest.astype(np.float64)) > np.abs(x)
    return np.where(is_beyond, np.nextafter(nearest, np.float32(0)), nearest)


def accumulate(total, a, b):
    """Total + a @ b, (m, n), float32, as tensor cores add it up; a and b hold TF32 numbers."""
    for first in range(0, a.shape[1], TERMS_AT_ONCE):
        some = slice(first, first + TERMS_AT_ONCE)
        products = a[:, some, None].astype(np.float64) * b[None, some].astype(np.float64)
        terms = np.concatenate([total[:, None].astype(np.float64), products], 1)
        largest = np.abs(terms).max(1, keepdims=True)
        unit = 2.0 ** (np.floor(np.log2(np.where(largest > 0, largest, 1.0))) - 23 - EXTRA_BITS)
        total = toward_zero((np.trunc(terms / unit) * unit).sum(1))
    return total


def multiply(a, b, total):
    """Total + a @ b as Triton's "tf32x3" compiles to: parts that are small first, the last sum to the nearest."""
    large_a, large_b = to_tf32(a), to_tf32(b)
    small_a, small_b = to_tf32(a - large_a), to_tf32(b - large_b)
    found = np.zeros_like(total)
    for left, right in ((small_a, large_b), (large_a, small_b), (large_a, large_b)):
        found = accumulate(found, left, right)
    return found + total
