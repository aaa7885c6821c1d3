"""A random orthogonal matrix."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.init.base import Init
from rnnbench.linear_algebra import qr


@dataclass(frozen=True, kw_only=True)
class OrthogonalInit(Init):
    """Recurrent weights drawn from the Haar measure of O(n), times spectral_radius.

    Attributes:
        spectral_radius: Modulus of all eigenvalues, and every singular value, >= 0.

    Source: Saxe, McClelland and Ganguli (2014), ICLR; the draw: Mezzadri (2007), Notices of the AMS 54.
    """

    spectral_radius: float = 1.0

    def recurrent_block(self, generator: torch.Generator, hidden_size: int) -> Tensor:
        """See `Init.recurrent_block`."""
        q, r = qr(torch.randn((hidden_size, hidden_size), generator=generator, dtype=torch.float64))
        # QR fixes the signs of q by its own convention; only with r's diagonal made positive is q Haar distributed.
        block: Tensor = q * torch.copysign(torch.ones_like(r.diagonal()), r.diagonal())
        return block * self.spectral_radius
