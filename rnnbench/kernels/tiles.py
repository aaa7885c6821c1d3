"""Tiles inside a kernel: rows of sequences times columns of units, and their products with a matrix of one replica.

The columns are one block, BLOCK >= n. The matrix of a net of up to 128 units stays in registers for all steps. A larger
one is read again at every step, CHUNK rows at a time, and so is the part of the carried tile that meets them: what the
program has just stored.
"""

import triton
import triton.language as tl

PRECISION = tl.constexpr("tf32x3")
"""Three products of TF32 parts on the tensor cores, in place of one of float32 on the ordinary ones ("ieee")."""

CHUNK = tl.constexpr(32)
"""Rows of a matrix that are read at once: 32 KiB at BLOCK = 256, and twice that as the parts of its products."""


@triton.jit
def load_tile(pointers, columns, inside):
    """Entries of some rows, (ROWS, 1) pointers, at some columns; zero where not inside."""
    return tl.load(pointers + columns[None, :], mask=inside, other=0.0)


@triton.jit
def whole_matrix(matrix, columns, size):
    """A matrix with `size` rows and columns, (BLOCK, BLOCK), zero beyond them."""
    inside = (columns[:, None] < size) & (columns[None, :] < size)
    return tl.load(matrix + columns[:, None] * size + columns[None, :], mask=inside, other=0.0)


@triton.jit
def multiply(carry, block, total):
    """One step's product: carry @ block + total."""
    return tl.dot(carry, block, total, input_precision=PRECISION)


@triton.jit
def multiply_stored(stored, row_inside, matrix, columns, size, total):
    """The same where the matrix is not resident; the carried tile lies at `stored`, (ROWS, 1) pointers."""
    tl.debug_barrier()  # other threads of this program have stored it
    for first in range(0, size, CHUNK):
        units = first + tl.arange(0, CHUNK)
        carry = load_tile(stored, units, row_inside & (units[None, :] < size))
        inside = (units[:, None] < size) & (columns[None, :] < size)
        total = multiply(
            carry, tl.load(matrix + units[:, None] * size + columns[None, :], mask=inside, other=0.0), total
        )
    return total


@triton.jit
def rows_before(t, num_steps, row, num_sequences):
    """Which rows of a tile are sequences, (ROWS, 1), while t < num_steps; then none."""
    # Not a comparison of the steps for each row: Triton's interpreter makes no mask of a single truth value.
    return row[:, None] < tl.where(t < num_steps, num_sequences, 0)
