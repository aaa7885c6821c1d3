"""Nonlinearities inside a kernel, float32. As in the models, derivatives are functions of the state h = f(a)."""

import triton
import triton.language as tl


@triton.jit
def hyperbolic_tangent(a):
    """Tanh, within 3 units in the last place.

    Up to |a| = 0.6 an odd polynomial of minimal relative error, since small signals need precision near 0; above, the
    exponential formula, whose rounding errors hardly change the result there.
    """
    square = a * a
    series = -0.33333298563957214 + square * (
        0.13331915438175201
        + square * (-0.053783293813467026 + square * (0.020794617012143135 - square * 0.005893945228308439))
    )
    size = tl.abs(a)
    power = tl.exp(-2.0 * size)  # never overflows
    far = (1.0 - power) / (1.0 + power)
    return tl.where(size < 0.6, a + a * (square * series), tl.where(a < 0, -far, far))


@triton.jit
def logistic(a):
    """1 / (1 + exp(-a)), without overflow of the exponential."""
    power = tl.exp(-tl.abs(a))
    return tl.where(a < 0, power, 1.0) / (1.0 + power)


@triton.jit
def activate(a, NONLINEARITY: tl.constexpr):
    """f(a); NaN stays NaN."""
    if NONLINEARITY == "tanh":
        state = hyperbolic_tangent(a)
    elif NONLINEARITY == "sigmoid":
        state = logistic(a)
    elif NONLINEARITY == "relu":
        state = tl.where(a < 0, 0.0, a)
    else:
        state = a
    return state


@triton.jit
def through_derivative(gradient, state, NONLINEARITY: tl.constexpr):
    """f'(a) times a gradient or a tangent."""
    if NONLINEARITY == "tanh":
        result = gradient * (1.0 - state * state)
    elif NONLINEARITY == "sigmoid":
        result = gradient * (state * (1.0 - state))
    elif NONLINEARITY == "relu":
        result = tl.where(state <= 0, 0.0, gradient)
    else:
        result = gradient
    return result
