"""A chain of units, each of which passes its state to the next."""

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.init.base import Init
from rnnbench.models.parameters import Parameter


@dataclass(frozen=True, kw_only=True)
class ChainInit(Init):
    """Unit i receives gain times unit i - 1 and feedback times unit i + 1; nothing is drawn.

    Without feedback all eigenvalues are 0: the matrix is as far from normal as a matrix can be, and what enters at its
    start travels through all n units before it is lost.

    Attributes:
        gain: Weight from the unit before.
        feedback: Weight from the unit after.
        source_scale: Input k enters unit k of the chain alone, with this weight; None: normal input weights to all
            units, as `input_scale` says.

    Source: Orhan and Pitkow (2020), ICLR; their code has a gain of 1.02 without feedback, and 0.99 with 0.04; its
    inputs enter at the start of the chain, with the weight 0.9.
    """

    gain: float = 1.02
    feedback: float = 0.0
    source_scale: float | None = None

    def recurrent_block(self, generator: torch.Generator, hidden_size: int) -> Tensor:
        """See `Init.recurrent_block`."""
        links = torch.ones(hidden_size - 1, dtype=torch.float64)
        return self.gain * torch.diag(links, -1) + self.feedback * torch.diag(links, 1)

    @override
    def _draw(self, generator: torch.Generator, parameter: Parameter, hidden_size: int) -> Tensor:
        drawn = super()._draw(generator, parameter, hidden_size)
        if parameter.kind != "input" or self.source_scale is None:
            return drawn
        blocks = drawn.view(-1, hidden_size, drawn.shape[-1])
        return (self.source_scale * torch.eye(*blocks.shape[1:], dtype=drawn.dtype)).repeat(len(blocks), 1)
