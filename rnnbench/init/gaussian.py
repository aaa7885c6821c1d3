"""Independent normal recurrent weights."""

from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.init.base import Init
from rnnbench.init.spectral_radius import rescale


@dataclass(frozen=True, kw_only=True)
class GaussianInit(Init):
    """Recurrent weights ~ N(0, recurrent_scale^2), all independent.

    Attributes:
        recurrent_scale: Standard deviation; None: 1/sqrt(n), for which the spectral radius tends to 1 as n grows.
        spectral_radius: Largest eigenvalue modulus after rescaling; None: no rescaling.
    """

    recurrent_scale: float | None = None
    spectral_radius: float | None = None

    def recurrent_block(self, generator: torch.Generator, hidden_size: int) -> Tensor:
        """See `Init.recurrent_block`.

        Raises:
            ValueError: recurrent_scale is 0 and spectral_radius is not.
        """
        scale = hidden_size**-0.5 if self.recurrent_scale is None else self.recurrent_scale
        block = scale * torch.randn((hidden_size, hidden_size), generator=generator, dtype=torch.float64)
        return block if self.spectral_radius is None else rescale(block, self.spectral_radius)
