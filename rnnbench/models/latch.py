"""The net of Bengio, Simard and Frasconi (1994): noise is added to every unit without a trainable weight."""

from collections.abc import Callable

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import Parameters, State
from rnnbench.models.cell import Cell
from rnnbench.models.parameters import Layout, Parameter

NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "linear": torch.clone}


class Latch(Cell):
    """A recurrent net whose last n inputs are added to its n units without weights; the other inputs have weights.

        h_t = f(W_hh h_{t-1} + W_ih u_t + v_t),  x_t = (u_t, v_t), v_t of n entries

    There is no bias. With one unit, tanh and the task `latch` this is the publication's a_t = w tanh(a_{t-1}) + x_t,
    except that the readout is also learned.

    Args:
        input_size: d, larger than n.
        output_size: o.
        hidden_size: n.
        nonlinearity: "tanh" or "linear".

    Raises:
        ValueError: There are too few inputs, or the nonlinearity is unknown.

    Source: Bengio, Simard and Frasconi (1994), IEEE Transactions on Neural Networks 5, section III.
    """

    def __init__(self, input_size: int, output_size: int, hidden_size: int, nonlinearity: str = "tanh") -> None:
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"model.nonlinearity must be one of {', '.join(NONLINEARITIES)}, got {nonlinearity}")
        if input_size <= hidden_size:
            raise ValueError(
                f"model=latch adds one input to each of its {hidden_size} units and weighs the others, "
                f"but the task has {input_size}: use task=latch, or a smaller model.hidden_size"
            )
        self.nonlinearity = NONLINEARITIES[nonlinearity]
        super().__init__(input_size, output_size, hidden_size)

    @override
    def step_layout(self) -> Layout:
        n = self.hidden_size
        return {
            "weight_hh": Parameter((n, n), "recurrent"),
            "weight_ih": Parameter((n, self.input_size - n), "input"),
        }

    @override
    def step(self, parameters: Parameters, state: State, inputs: Tensor) -> State:
        (hidden,), n = state, self.hidden_size
        weighted = torch.baddbmm(inputs[..., -n:], inputs[..., :-n], parameters["weight_ih"].mT)
        return (self.nonlinearity(torch.baddbmm(weighted, hidden, parameters["weight_hh"].mT)),)
