"""Tiles inside a kernel: rows of sequences times columns of units, and their products with a matrix of one replica.

All columns form one block, BLOCK >= n. The matrix of a net of up to 128 units stays in registers for all steps
("resident"). A larger matrix is read again at every step, CHUNK rows at a time, together with the matching columns of
the carried tile, which the program has just stored.

A product is the sum of several products over parts of the units. Tensor cores truncate every partial sum toward zero,
so the errors of one long sum have the same sign; sums of parts are rounded to nearest. The parts of a resident matrix
are every second or fourth unit, since neighbouring columns of a carried tile are in the same thread.
"""

import triton
import triton.language as tl

PRECISION = tl.constexpr("tf32x3")
"""Three products of TF32 parts on the tensor cores instead of one float32 product on the other cores ("ieee")."""

CHUNK = tl.constexpr(32)
"""Rows of a matrix read at once: 32 KiB at BLOCK = 256, and twice that when split for tensor-core products."""

MIN_BLOCK = tl.constexpr(16)
"""Minimum of each dimension of a product on the tensor cores."""


@triton.jit
def load_tile(pointers, columns, inside):
    """Load rows, (ROWS, 1) pointers, at the given columns; zero where not inside."""
    return tl.load(pointers + columns[None, :], mask=inside, other=0.0)


@triton.jit
def some_rows(matrix, columns, size, first, every: tl.constexpr, COUNT: tl.constexpr):
    """COUNT rows `first`, first + every, ... of a size x size matrix: (COUNT, BLOCK), zero outside the matrix."""
    units = first + every * tl.arange(0, COUNT)
    inside = (units[:, None] < size) & (columns[None, :] < size)
    return tl.load(matrix + units[:, None] * size + columns[None, :], mask=inside, other=0.0)


@triton.jit
def resident_matrix(matrix, columns, size, BLOCK: tl.constexpr):
    """The rows of a matrix in four parts for `multiply`; small matrices have fewer parts, which are repeated."""
    if BLOCK >= 4 * MIN_BLOCK:
        first = some_rows(matrix, columns, size, 0, 4, BLOCK // 4)
        second = some_rows(matrix, columns, size, 2, 4, BLOCK // 4)
        third = some_rows(matrix, columns, size, 1, 4, BLOCK // 4)
        fourth = some_rows(matrix, columns, size, 3, 4, BLOCK // 4)
    elif BLOCK == 2 * MIN_BLOCK:
        first = some_rows(matrix, columns, size, 0, 2, MIN_BLOCK)
        second = some_rows(matrix, columns, size, 1, 2, MIN_BLOCK)
        third, fourth = first, second
    else:
        first = some_rows(matrix, columns, size, 0, 1, BLOCK)
        second, third, fourth = first, first, first
    return first, second, third, fourth


@triton.jit
def every_other(tile, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Even and odd columns of a tile, (ROWS, WIDTH / 2) each."""
    return tl.split(tl.reshape(tile, (ROWS, WIDTH // 2, 2)))


@triton.jit
def product(carry, block):
    """Product of a carried tile and some rows of a matrix: carry @ block."""
    return tl.dot(carry, block, input_precision=PRECISION)


@triton.jit
def multiply(carry, first, second, third, fourth, total, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """One step's product with a resident matrix: carry @ matrix + total."""
    if BLOCK >= 4 * MIN_BLOCK:
        even, odd = every_other(carry, ROWS, BLOCK)
        carry_0, carry_2 = every_other(even, ROWS, BLOCK // 2)
        carry_1, carry_3 = every_other(odd, ROWS, BLOCK // 2)
        evens = product(carry_0, first) + product(carry_2, second)
        total += evens + (product(carry_1, third) + product(carry_3, fourth))
    elif BLOCK == 2 * MIN_BLOCK:
        even, odd = every_other(carry, ROWS, BLOCK)
        total += product(even, first) + product(odd, second)
    else:
        total += product(carry, first)
    return total


@triton.jit
def multiply_stored(stored, row_inside, matrix, columns, size, total):
    """Carry @ matrix + total for a matrix that is not resident; `stored`, (ROWS, 1), points to the carried tile."""
    tl.debug_barrier()  # other threads of this program have stored the tile
    for first in range(0, size, CHUNK):
        units = first + tl.arange(0, CHUNK)
        carry = load_tile(stored, units, row_inside & (units[None, :] < size))
        total += product(carry, some_rows(matrix, columns, size, first, 1, CHUNK))
    return total


@triton.jit
def rows_before(t, num_steps, row, num_sequences):
    """Which rows of a tile are sequences, (ROWS, 1), if t < num_steps; otherwise none."""
    # The step is not compared directly: Triton's interpreter cannot make a mask from a scalar condition.
    return row[:, None] < tl.where(t < num_steps, num_sequences, 0)
