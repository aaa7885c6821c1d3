"""Eigenvalues of a diagonal recurrence on a ring."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.init.base import Init
from rnnbench.models.parameters import Kind, Parameter


@dataclass(frozen=True, kw_only=True)
class RingInit(Init):
    """Eigenvalues drawn uniformly from a part of the complex plane: a ring, or a piece of it.

    Attributes:
        r_min: Smallest modulus, >= 0.
        r_max: Largest modulus, > r_min and at most 1.
        max_phase: Largest phase, in radians; 2 pi: the whole ring. The conjugates of the eigenvalues, which the net has
            too, lie below the real axis.

    Raises:
        ValueError: r_max is not larger than r_min.

    Source: Orvieto et al. (2023), ICML, lemma 3.2, and their code.
    """

    draws: ClassVar[tuple[Kind, ...]] = ("decay", "phase")
    r_min: float = 0.9
    r_max: float = 0.999
    max_phase: float = 2 * math.pi

    def __post_init__(self) -> None:
        """Check the radii."""
        if not self.r_min < self.r_max:
            raise ValueError(f"init.r_max must be > init.r_min, got {self.r_max:g} and {self.r_min:g}")

    @override
    def recurrent_block(self, generator: torch.Generator, hidden_size: int) -> Tensor:
        raise ValueError("RingInit draws no recurrent weights")  # `check` has said so

    @override
    def _draw(self, generator: torch.Generator, parameter: Parameter, hidden_size: int) -> Tensor:
        if parameter.kind not in self.draws:
            return super()._draw(generator, parameter, hidden_size)
        uniform = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
        if parameter.kind == "phase":
            return (self.max_phase * uniform).log()
        squared = self.r_min**2 + (self.r_max**2 - self.r_min**2) * uniform  # of the modulus
        return (-0.5 * squared.log()).log()
