"""The states of the simple recurrent net, and their tangents, over a whole sequence in one launch.

A program computes ROWS sequences of one replica for all steps. h_t stays on the chip as operand of the next product and
is also stored. The loads of the next step are issued before the product of this step, which hides their latency. The
first product is outside the loop, so that the compiler lays out the matrix for the tensor cores only once.

Letters as in `rnnbench.models.simple_rnn_sweeps`.
"""

import triton
import triton.language as tl

from rnnbench.kernels.elementwise import activate, through_derivative
from rnnbench.kernels.tiles import PRECISION, load_tile, multiply, multiply_stored, resident_matrix, rows_before

UNSPECIALIZED = ("num_steps", "rounded_replicas")
"""Arguments for whose values Triton compiles no specialized kernels."""


@triton.jit
def input_weights(step, columns, hidden_size, num_inputs, EXTRA: tl.constexpr):
    """[W_ih^T; b], (EXTRA, BLOCK): the rows of `step` after those of W_hh^T; unused if EXTRA is 0."""
    if EXTRA == 0:
        weights = 0
    else:
        inputs = tl.arange(0, EXTRA)
        inside = (inputs[:, None] < num_inputs) & (columns[None, :] < hidden_size)
        weights = tl.load(
            step + (hidden_size + inputs[:, None]) * hidden_size + columns[None, :], mask=inside, other=0.0
        )
    return weights


@triton.jit
def input_operand(here, step_stride, columns, inside, hidden_size, num_inputs, EXTRA: tl.constexpr):
    """[x_t, 1], (ROWS, EXTRA); if EXTRA is 0, its product with the weights, which is stored in the place of h_t.

    `here` points to h_{t-1}; `inside` is (ROWS, 1).
    """
    if EXTRA == 0:
        operand = load_tile(here + step_stride, columns, inside & (columns[None, :] < hidden_size))
    else:
        inputs = tl.arange(0, EXTRA)
        operand = load_tile(here + hidden_size, inputs, inside & (inputs[None, :] < num_inputs))
    return operand


@triton.jit
def input_part(operand, weights, EXTRA: tl.constexpr):
    """[x_t, 1] [W_ih^T; b], (ROWS, BLOCK)."""
    return operand if EXTRA == 0 else tl.dot(operand, weights, input_precision=PRECISION)


@triton.jit(do_not_specialize=UNSPECIALIZED)
def states_kernel(
    rows,
    step,
    num_steps,
    num_sequences,
    hidden_size,
    num_inputs,
    replica_stride,
    step_stride,
    width,
    weight_stride,
    rounded_replicas,
    BLOCK: tl.constexpr,
    IS_RESIDENT: tl.constexpr,
    EXTRA: tl.constexpr,
    NONLINEARITY: tl.constexpr,
    ROWS: tl.constexpr,
):
    """h_t = f([h_{t-1}, x_t, 1] step) for all steps, in place.

    Operands:
        rows: (r, T + 1, b, width), [h_t, x_{t+1}, 1] at index t.
        step: (r, c, n), rows [W_hh^T; W_ih^T; b].
        num_inputs: d + 1.
    """
    replica = tl.program_id(0).to(tl.int64)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    row_inside = row[:, None] < num_sequences
    here = rows + replica * replica_stride + row[:, None].to(tl.int64) * width
    step += replica * weight_stride

    columns = tl.arange(0, BLOCK)
    inside = row_inside & (columns[None, :] < hidden_size)
    weights = input_weights(step, columns, hidden_size, num_inputs, EXTRA)
    operand = input_operand(here, step_stride, columns, row_inside, hidden_size, num_inputs, EXTRA)
    part = input_part(operand, weights, EXTRA)
    is_next = rows_before(1, num_steps, row, num_sequences)
    operand = input_operand(here + step_stride, step_stride, columns, is_next, hidden_size, num_inputs, EXTRA)
    if IS_RESIDENT:
        first, second, third, fourth = resident_matrix(step, columns, hidden_size, BLOCK)
        state = load_tile(here, columns, inside)
        pre_activation = multiply(state, first, second, third, fourth, part, ROWS, BLOCK)
    else:
        pre_activation = multiply_stored(here, row_inside, step, columns, hidden_size, part)

    for t in range(num_steps):
        here += step_stride
        part = input_part(operand, weights, EXTRA)
        is_next = rows_before(t + 2, num_steps, row, num_sequences)
        operand = input_operand(here + step_stride, step_stride, columns, is_next, hidden_size, num_inputs, EXTRA)
        state = activate(pre_activation, NONLINEARITY)
        tl.store(here + columns[None, :], state, mask=inside)
        if IS_RESIDENT:
            pre_activation = multiply(state, first, second, third, fourth, part, ROWS, BLOCK)
        else:
            pre_activation = multiply_stored(here, row_inside, step, columns, hidden_size, part)


@triton.jit(do_not_specialize=UNSPECIALIZED)
def tangents_kernel(
    tangents,
    rows,
    step,
    lengths,
    num_steps,
    num_sequences,
    hidden_size,
    replica_stride,
    step_stride,
    width,
    weight_stride,
    length_replica_stride,
    length_stride,
    rounded_replicas,
    BLOCK: tl.constexpr,
    IS_RESIDENT: tl.constexpr,
    ENDS: tl.constexpr,
    NONLINEARITY: tl.constexpr,
    ROWS: tl.constexpr,
):
    """dh_t = f'(a_t) (dh_{t-1} W_hh^T + stored part of the direction) for all steps, in place.

    Operands:
        tangents: (r, T + 1, b, n), contiguous; from step 1 on it holds [h_{t-1}, x_t, 1] times the direction's `step`.
        rows: See `states_kernel`; the three strides belong to it.
        step: See `states_kernel`.
        lengths: (r, b), int64; read if ENDS: dh_t is zero after a sequence's end.
    """
    replica = tl.program_id(0).to(tl.int64)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    row_inside = row[:, None] < num_sequences
    step += replica * weight_stride
    reached = rows + replica * replica_stride + step_stride + row[:, None].to(tl.int64) * width
    tangent_stride = num_sequences * hidden_size
    here = tangents + replica * (num_steps + 1) * tangent_stride + row[:, None] * hidden_size
    length = row[:, None]  # not used unless ENDS
    if ENDS:
        entries = lengths + replica * length_replica_stride + row[:, None].to(tl.int64) * length_stride
        length = tl.load(entries, mask=row_inside, other=0)

    columns = tl.arange(0, BLOCK)
    inside = row_inside & (columns[None, :] < hidden_size)
    state, part = load_tile(reached, columns, inside), load_tile(here + tangent_stride, columns, inside)
    if IS_RESIDENT:
        first, second, third, fourth = resident_matrix(step, columns, hidden_size, BLOCK)
        product = multiply(load_tile(here, columns, inside), first, second, third, fourth, part, ROWS, BLOCK)
    else:
        product = multiply_stored(here, row_inside, step, columns, hidden_size, part)

    for t in range(num_steps):
        here += tangent_stride
        reached += step_stride
        running = row_inside
        if ENDS:
            running = t < length
        tangent = tl.where(running, through_derivative(product, state, NONLINEARITY), 0.0)
        next_inside = rows_before(t + 1, num_steps, row, num_sequences) & (columns[None, :] < hidden_size)
        state = load_tile(reached, columns, next_inside)
        part = load_tile(here + tangent_stride, columns, next_inside)
        tl.store(here + columns[None, :], tangent, mask=inside)
        if IS_RESIDENT:
            product = multiply(tangent, first, second, third, fourth, part, ROWS, BLOCK)
        else:
            product = multiply_stored(here, row_inside, step, columns, hidden_size, part)
