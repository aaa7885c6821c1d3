"""The simple recurrent net as a cell, whose sweeps are derived automatically."""

import torch

from rnnbench.models.cell import Cell
from rnnbench.models.parameters import Parameter

ACTIVATIONS = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu, "linear": lambda x: x}


class PlainCell(Cell):
    """The simple recurrent net as a cell."""

    def __init__(self, input_size, output_size, hidden_size, nonlinearity):
        super().__init__(input_size, output_size, hidden_size)
        self.activate = ACTIVATIONS[nonlinearity]

    def step_layout(self):
        n = self.hidden_size
        return {
            "weight_hh": Parameter((n, n), "recurrent"),
            "weight_ih": Parameter((n, self.input_size), "input"),
            "bias": Parameter((n,), "bias"),
        }

    def step(self, parameters, state, inputs):
        recurrent = state[0] @ parameters["weight_hh"].mT
        return (self.activate(recurrent + inputs @ parameters["weight_ih"].mT + parameters["bias"].unsqueeze(1)),)
