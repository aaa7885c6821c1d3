"""A chain of units, each of which passes its state to the next."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.init.base import Init


@dataclass(frozen=True, kw_only=True)
class ChainInit(Init):
    """Unit i receives gain times unit i - 1 and feedback times unit i + 1; nothing is drawn.

    Without feedback all eigenvalues are 0: the matrix is as far from normal as a matrix can be, and what enters at its
    start travels through all n units before it is lost.

    Attributes:
        gain: Weight from the unit before.
        feedback: Weight from the unit after.

    Source: Orhan and Pitkow (2020), ICLR; their code has a gain of 1.02 without feedback, and 0.99 with 0.04.
    """

    gain: float = 1.02
    feedback: float = 0.0

    def recurrent_block(self, generator: torch.Generator, hidden_size: int) -> Tensor:
        """See `Init.recurrent_block`."""
        links = torch.ones(hidden_size - 1, dtype=torch.float64)
        return self.gain * torch.diag(links, -1) + self.feedback * torch.diag(links, 1)
