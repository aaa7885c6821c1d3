"""Nonlinearities of the simple recurrent net, with results written into preallocated memory."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_aten = torch.ops.aten


@dataclass(frozen=True)
class Nonlinearity:
    """A nonlinearity f and its derivatives as functions of the state h = f(a).

    Attributes:
        name: Its name in the configuration.
        of: a -> f(a), a new tensor, differentiable any number of times.
        forward: (a, out): out = f(a).
        backward: (gradient, h, out): out = f'(a) * gradient.
        derivative: h -> f'(a), a new tensor.
        bend: h -> f''(a) / f'(a), a new tensor, finite also where f'(a) rounds to 0.
    """

    name: str
    of: Callable[[Tensor], Tensor]
    forward: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor, Tensor], object]
    derivative: Callable[[Tensor], Tensor]
    bend: Callable[[Tensor], Tensor]

    def second_derivative(self, state: Tensor) -> Tensor:
        """f''(a), from h = f(a)."""
        return self.derivative(state) * self.bend(state)


def _relu_backward(gradient: Tensor, state: Tensor, out: Tensor) -> object:
    return _aten.threshold_backward.grad_input(gradient, state, 0, grad_input=out)


_ALL = (
    Nonlinearity(
        "tanh",
        torch.tanh,
        lambda a, out: torch.tanh(a, out=out),
        lambda gradient, state, out: _aten.tanh_backward.grad_input(gradient, state, grad_input=out),
        lambda state: 1 - state * state,
        lambda state: -2 * state,
    ),
    Nonlinearity(
        "sigmoid",
        torch.sigmoid,
        lambda a, out: torch.sigmoid(a, out=out),
        lambda gradient, state, out: _aten.sigmoid_backward.grad_input(gradient, state, grad_input=out),
        lambda state: state * (1 - state),
        lambda state: 1 - 2 * state,
    ),
    Nonlinearity(
        "relu",
        torch.relu,
        lambda a, out: torch.clamp(a, min=0, out=out),
        _relu_backward,
        lambda state: (state > 0).to(state.dtype),
        torch.zeros_like,
    ),
    Nonlinearity(
        "linear",
        torch.clone,
        lambda a, out: out.copy_(a),
        lambda gradient, state, out: out.copy_(gradient),
        torch.ones_like,
        torch.zeros_like,
    ),
)
NONLINEARITIES = {nonlinearity.name: nonlinearity for nonlinearity in _ALL}


def find_nonlinearity(name: str) -> Nonlinearity:
    """Return the nonlinearity with a name.

    Raises:
        ValueError: There is none.
    """
    if name not in NONLINEARITIES:
        raise ValueError(f"model.nonlinearity must be one of {', '.join(NONLINEARITIES)}, got {name}")
    return NONLINEARITIES[name]
