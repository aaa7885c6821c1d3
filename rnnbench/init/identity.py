"""The identity matrix."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.init.base import Init


@dataclass(frozen=True, kw_only=True)
class IdentityInit(Init):
    """Recurrent weights are the identity times spectral_radius; nothing is drawn.

    Attributes:
        spectral_radius: All eigenvalues, >= 0.

    Source: Le, Jaitly and Hinton (2015), arXiv:1504.00941 (for relu units).
    """

    spectral_radius: float = 1.0

    def recurrent_block(self, generator: torch.Generator, hidden_size: int) -> Tensor:
        """See `Init.recurrent_block`."""
        return self.spectral_radius * torch.eye(hidden_size, dtype=torch.float64)
