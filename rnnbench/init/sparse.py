"""Sparse recurrent weights: a few per unit, rescaled to a spectral radius."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.init.base import Init
from rnnbench.init.spectral_radius import rescale


@dataclass(frozen=True, kw_only=True)
class SparseInit(Init):
    """Each unit gets num_connections incoming weights ~ N(0, 1) from units drawn without replacement.

    The whole matrix is then rescaled. A unit may be among its own sources.

    Attributes:
        num_connections: Number of incoming recurrent weights of a unit, >= 1; at most n are used.
        spectral_radius: Largest eigenvalue modulus of the recurrent weights, >= 0.

    Source: Martens and Sutskever (2011), ICML (few connections); Sutskever, Martens, Dahl and Hinton (2013), ICML
    (15 of them, rescaled to a spectral radius of 1.1).
    """

    num_connections: int
    spectral_radius: float

    def recurrent_block(self, generator: torch.Generator, hidden_size: int) -> Tensor:
        """See `Init.recurrent_block`.

        The drawn matrix is never nilpotent: every unit has a source, so its graph has a cycle.
        """
        num_connections = min(self.num_connections, hidden_size)
        # The smallest of n random keys are a uniform choice without replacement, row by row.
        keys = torch.rand((hidden_size, hidden_size), generator=generator, dtype=torch.float64)
        sources = keys.argsort(dim=1)[:, :num_connections]
        values = torch.randn((hidden_size, num_connections), generator=generator, dtype=torch.float64)
        return rescale(torch.zeros_like(keys).scatter_(1, sources, values), self.spectral_radius)
