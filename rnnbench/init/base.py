"""Contract of an initialization: draw one replica's parameters from a random generator.

The order of the draws is part of an initialization: it determines the parameters of a seed.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Layout = Mapping[str, tuple[int, ...]]
"""Names and shapes of one replica's parameters, in theta's order."""


@dataclass(frozen=True, kw_only=True)
class Init(ABC):
    """Draws all parameters of one replica, in float64 on the CPU.

    A subclass draws the recurrent weights (`weight_hh`, (k n, n): k stacked square blocks, k = 1 for the simple
    recurrent net). The rest is the same for all: weight_ih ~ N(0, input_scale^2),
    weight_out ~ N(0, output_scale^2), every bias and the initial state ~ N(0, scale^2) with their own scales.

    Attributes:
        input_scale: Standard deviation of the input weights.
        output_scale: Standard deviation of the readout weights.
        bias_scale: Standard deviation of the hidden biases (the output bias starts at 0).
        initial_state_scale: Standard deviation of the learned initial state.
    """

    input_scale: float
    output_scale: float
    bias_scale: float
    initial_state_scale: float

    @abstractmethod
    def recurrent_block(self, generator: torch.Generator, hidden_size: int) -> Tensor:
        """One square block of recurrent weights, (n, n), float64."""

    def __call__(self, generator: torch.Generator, layout: Layout) -> dict[str, Tensor]:
        """Draw the parameters named in `layout`.

        Args:
            generator: A CPU generator, seeded by the replica's seed.
            layout: Names and shapes; known names are weight_ih, weight_hh, bias, bias_hn, initial_state,
                weight_out, bias_out.

        Returns:
            One float64 tensor per name, of its shape.

        Raises:
            KeyError: A name is not known.
        """
        scales = {
            "weight_ih": self.input_scale,
            "bias": self.bias_scale,
            "bias_hn": self.bias_scale,
            "initial_state": self.initial_state_scale,
            "weight_out": self.output_scale,
            "bias_out": 0.0,
        }
        drawn = {}
        for name, shape in layout.items():
            if name == "weight_hh":
                blocks = [self.recurrent_block(generator, shape[1]) for _ in range(shape[0] // shape[1])]
                drawn[name] = torch.cat(blocks)
            else:
                drawn[name] = scales[name] * torch.randn(shape, generator=generator, dtype=torch.float64)
        return drawn
