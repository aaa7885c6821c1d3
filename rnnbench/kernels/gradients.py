"""The backward sweep of the simple recurrent net over a whole sequence in one launch.

Programs, tiles and waits as in `rnnbench.kernels.states`. The kernel does not compute the gradients of
the weights: they are products over all steps, for which a matrix library is faster.

Letters as in `rnnbench.models.simple_rnn_sweeps`.
"""

import triton
import triton.language as tl

from rnnbench.kernels.elementwise import through_derivative
from rnnbench.kernels.states import UNSPECIALIZED
from rnnbench.kernels.tiles import load_tile, multiply, multiply_stored, resident_matrix, rows_before


@triton.jit
def pre_activation_gradient(
    carry, state, injected, tangent, weight, IS_DAMPED: tl.constexpr, NONLINEARITY: tl.constexpr
):
    """dL/da_t from the gradient carried back from step t + 1, the one injected at t, and the structural damping."""
    gradient = through_derivative(carry + injected, state, NONLINEARITY)
    if IS_DAMPED:
        gradient += weight * tangent
    return gradient


@triton.jit
def step_operands(state, source, tangent, columns, inside, enters, IS_DAMPED: tl.constexpr):
    """h_t, the gradient injected at step t, and dh_t (if structural damping uses it)."""
    states = load_tile(state, columns, inside)
    injected = load_tile(source, columns, inside & enters)
    tangents = load_tile(tangent, columns, inside) if IS_DAMPED else states
    return states, injected, tangents


@triton.jit(do_not_specialize=UNSPECIALIZED)
def gradients_kernel(
    gradients,
    rows,
    recurrent,
    source,
    output_steps,
    tangents,
    structural,
    num_steps,
    num_sequences,
    hidden_size,
    replica_stride,
    step_stride,
    width,
    weight_stride,
    source_replica_stride,
    source_step_stride,
    source_stride,
    output_replica_stride,
    output_stride,
    structural_stride,
    rounded_replicas,
    BLOCK: tl.constexpr,
    IS_RESIDENT: tl.constexpr,
    ONE_OUTPUT: tl.constexpr,
    IS_DAMPED: tl.constexpr,
    NONLINEARITY: tl.constexpr,
    ROWS: tl.constexpr,
):
    """dL/da_t = f'(a_t) (dL/da_{t+1} W_hh + injected dL/dh_t), from the last step to the first.

    Operands:
        gradients: (r, T, b, n), contiguous, overwritten.
        rows: See `states_kernel`; the three strides belong to it.
        recurrent: W_hh of each replica, n x n contiguous numbers, `weight_stride` apart.
        source: Injected dL/dh_t: (r, T, b, n) for every step, which may be `gradients` itself; or (r, 1, b, n) for one
            output per sequence.
        output_steps: (r, b), int64, the step of each sequence's output; read if ONE_OUTPUT.
        tangents: (r, T + 1, b, n), contiguous; read if IS_DAMPED.
        structural: (r,), weight of the damping; read if IS_DAMPED.
    """
    replica = tl.program_id(0).to(tl.int64)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    row_inside = row[:, None] < num_sequences
    wide_row = row[:, None].to(tl.int64)
    last = tl.cast(num_steps, tl.int64) - 1
    recurrent += replica * weight_stride
    reached = rows + replica * replica_stride + (last + 1) * step_stride + wide_row * width
    dense = num_sequences * hidden_size
    here = gradients + (replica * num_steps + last) * dense + wide_row * hidden_size
    tangent = tangents + (replica * (num_steps + 1) + last + 1) * dense + wide_row * hidden_size
    entering = source + replica * source_replica_stride + wide_row * source_stride
    enters, output_step = row_inside, wide_row
    if ONE_OUTPUT:
        entries = output_steps + replica * output_replica_stride + wide_row * output_stride
        output_step = tl.load(entries, mask=row_inside, other=-1)
        enters = output_step == last
    else:
        entering += last * source_step_stride
    weight = 0.0
    if IS_DAMPED:
        weight = tl.load(structural + replica * structural_stride)

    columns = tl.arange(0, BLOCK)
    inside = row_inside & (columns[None, :] < hidden_size)
    state, injected, damped = step_operands(reached, entering, tangent, columns, inside, enters, IS_DAMPED)
    zero = tl.full((ROWS, BLOCK), 0.0, tl.float32)
    carry = zero
    if IS_RESIDENT:
        first, second, third, fourth = resident_matrix(recurrent, columns, hidden_size, BLOCK)
        # The result is zero; the product makes the compiler lay out the matrix before the loop.
        carry = multiply(zero, first, second, third, fourth, zero, ROWS, BLOCK)

    for back in range(num_steps):
        gradient = pre_activation_gradient(carry, state, injected, damped, weight, IS_DAMPED, NONLINEARITY)
        tl.store(here + columns[None, :], gradient, mask=inside)
        reached -= step_stride
        tangent -= dense
        if ONE_OUTPUT:
            enters = output_step == last - back - 1
        else:
            entering -= source_step_stride
        next_inside = rows_before(back + 1, num_steps, row, num_sequences) & (columns[None, :] < hidden_size)
        state, injected, damped = step_operands(reached, entering, tangent, columns, next_inside, enters, IS_DAMPED)
        if IS_RESIDENT:
            carry = multiply(gradient, first, second, third, fourth, zero, ROWS, BLOCK)
        else:
            carry = multiply_stored(here, row_inside, recurrent, columns, hidden_size, zero)
        here -= dense
