"""The simple recurrent net whose recurrent matrix stays orthogonal."""

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.linear_algebra import cayley
from rnnbench.models.base import Parameters, State
from rnnbench.models.cell import Cell
from rnnbench.models.nonlinearity import find_nonlinearity
from rnnbench.models.parameters import Layout, Parameter


class OrthogonalRnn(Cell):
    """The simple recurrent net with an orthogonal W_hh, a function of a free matrix.

        h_t = f(W_hh h_{t-1} + W_ih x_t + b),  W_hh = (I - A/2)^{-1} (I + A/2),  A = F - F^T

    What is trained, drawn by the initialization and kept in checkpoints is F, the parameter `free_hh`; any optimizer
    may change it in any way. Only its skew-symmetric part matters. W_hh is computed once for all steps. It is a
    rotation without the eigenvalue -1; an eigenvalue ia of A becomes exp(2i arctan(a/2)).

    Args:
        input_size: d.
        output_size: o.
        hidden_size: n.
        nonlinearity: "tanh", "relu", "linear" or "sigmoid".

    Raises:
        ValueError: The nonlinearity is unknown.

    Source: Helfrich, Willmott and Ye (2018), ICML, without their diagonal scaling matrix; the map is that of
    torch.nn.utils.parametrizations.orthogonal with orthogonal_map="cayley".
    """

    is_capturable = False  # a solver of linear equations may wait for the device

    def __init__(self, input_size: int, output_size: int, hidden_size: int, nonlinearity: str = "tanh") -> None:
        self.nonlinearity = find_nonlinearity(nonlinearity)
        super().__init__(input_size, output_size, hidden_size)

    @override
    def step_layout(self) -> Layout:
        n = self.hidden_size
        return {
            "free_hh": Parameter((n, n), "recurrent"),
            "weight_ih": Parameter((n, self.input_size), "input"),
            "bias": Parameter((n,), "bias"),
        }

    @override
    def effective_parameters(self, parameters: Parameters) -> Parameters:
        """W_hh as `weight_hh` in the place of F."""
        free, weight_ih, bias = (parameters[name] for name in ("free_hh", "weight_ih", "bias"))
        return {"weight_hh": cayley(free - free.mT), "weight_ih": weight_ih, "bias": bias}

    @override
    def step(self, parameters: Parameters, state: State, inputs: Tensor) -> State:
        from_inputs = torch.baddbmm(parameters["bias"].unsqueeze(1), inputs, parameters["weight_ih"].mT)
        return (self.nonlinearity.of(torch.baddbmm(from_inputs, state[0], parameters["weight_hh"].mT)),)

    @override
    def recurrent_weight(self, theta: Tensor) -> Tensor:
        """W_hh, (R, n, n), orthogonal."""
        return self.effective_parameters(self.parameters(theta))["weight_hh"]
