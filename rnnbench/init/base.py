"""Contract of an initialization: one replica's initial parameters, usually drawn from a random generator.

The order of the draws is part of an initialization: it determines the parameters of a seed.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.models.base import Model
from rnnbench.models.parameters import Kind, Layout, Parameter

_RECURRENCES: Mapping[Kind, tuple[str, str]] = {
    "recurrent": ("recurrent weights", "init=orthogonal"),
    "decay": ("eigenvalues of a diagonal recurrence", "init=lru_ring"),
    "phase": ("eigenvalues of a diagonal recurrence", "init=lru_ring"),
}
"""Kinds that not every initialization draws -> what they are, and an initialization that draws them."""


class Initializer(ABC):
    """Gives one replica its initial parameters."""

    @abstractmethod
    def check(self, model: Model) -> None:
        """Check that the parameters of a model can be made; called before a new run writes anything.

        Raises:
            ValueError: They cannot.
        """

    @abstractmethod
    def initial_parameters(self, generator: torch.Generator, model: Model) -> dict[str, Tensor]:
        """Make the parameters of one replica.

        Args:
            generator: A CPU generator, seeded by the replica's seed.
            model: Model, whose layout has their names and shapes.

        Returns:
            One float64 tensor on the CPU per name, of its shape.
        """


@dataclass(frozen=True, kw_only=True)
class Init(Initializer):
    """Draws all parameters of one replica, in float64 on the CPU.

    A subclass draws the square blocks of recurrent weights. The rest is the same for all initializations, and is drawn
    by the kind of each parameter; see `rnnbench.models.parameters.Parameter`.

    Attributes:
        draws: Kinds of the parameters of the recurrence that it draws.
        input_scale: Standard deviation of the input weights; None: sqrt(2 / (d + n)), as Glorot and Bengio (2010) for
            the weights of one gate.
        output_scale: Standard deviation of the readout weights; None: sqrt(2 / (n + o)).
        bias_scale: Standard deviation of the hidden biases (the output bias starts at 0).
        initial_state_scale: Standard deviation of the learned initial state.
        forget_bias: Mean of the biases of the gates that keep the state: the forget gates of an LSTM.
        chrono_length: T: the biases of these gates start at log(u), u uniform in [1, T - 1], and those of an LSTM's
            input gates at -log(u), so that units keep their states for up to T steps; None: they do not. Source: Tallec
            and Ollivier (2018), ICLR, equation 16.
    """

    draws: ClassVar[tuple[Kind, ...]] = ("recurrent",)
    input_scale: float | None
    output_scale: float | None
    bias_scale: float
    initial_state_scale: float
    forget_bias: float = 0.0
    chrono_length: float | None = None

    @abstractmethod
    def recurrent_block(self, generator: torch.Generator, hidden_size: int) -> Tensor:
        """One square block of recurrent weights, (n, n), float64."""

    @override
    def check(self, model: Model) -> None:
        """Check that it draws the model's recurrence, which has the gates of `forget_bias` and `chrono_length`."""
        for kind in (parameter.kind for parameter in model.layout.values()):
            if kind in _RECURRENCES and kind not in self.draws:
                what, other = _RECURRENCES[kind]
                mine, theirs = type(self).__name__, type(model).__name__
                raise ValueError(f"init: {mine} draws no {what}, which {theirs} has; use {other}")
        gates = [parameter.forget for parameter in model.layout.values() if parameter.forget != (0, 0)]
        if self.forget_bias != 0 and not gates:
            raise ValueError(f"init.forget_bias must be 0 with a model without forget gates, got {self.forget_bias:g}")
        if self.chrono_length is not None and self.forget_bias != 0:
            raise ValueError(
                "init.chrono_length and init.forget_bias exclude each other; set init.forget_bias=0, or "
                "init.chrono_length=null"
            )
        if self.chrono_length is not None and not gates:
            got = f"{self.chrono_length:g}"
            raise ValueError(f"init.chrono_length must be null with a model without forget gates, got {got}")

    @override
    def initial_parameters(self, generator: torch.Generator, model: Model) -> dict[str, Tensor]:
        return self(generator, model.layout)

    def __call__(self, generator: torch.Generator, layout: Layout) -> dict[str, Tensor]:
        """Draw the parameters of `layout`, in its order.

        Args:
            generator: A CPU generator, seeded by the replica's seed.
            layout: The parameters of a model, by name.

        Returns:
            One float64 tensor per name, of its shape.

        Raises:
            ValueError: A block of recurrent weights has a wrong shape or type, or cannot be rescaled.
        """
        hidden_size = next((entry.shape[1] for entry in layout.values() if entry.kind == "readout"), 0)
        return {name: self._draw(generator, parameter, hidden_size) for name, parameter in layout.items()}

    def _draw(self, generator: torch.Generator, parameter: Parameter, hidden_size: int) -> Tensor:
        """Draw one parameter, float64."""
        if parameter.kind == "recurrent":
            rows, hidden_size = parameter.shape
            return torch.cat([self._draw_block(generator, hidden_size) for _ in range(rows // hidden_size)])
        normal = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        if parameter.kind == "own":
            assert parameter.scale is not None
            return parameter.mean + parameter.scale * normal
        scales = {
            "input": _scale(self.input_scale, parameter.shape[-1] + hidden_size),
            "bias": self.bias_scale,
            "initial_state": self.initial_state_scale,
            "readout": _scale(self.output_scale, sum(parameter.shape)),
            "readout_bias": 0.0,
        }
        drawn = scales[parameter.kind] * normal
        drawn[slice(*parameter.forget)] += self.forget_bias
        if self.chrono_length is not None and parameter.forget != (0, 0):
            first, last = parameter.forget
            steps = 1 + (self.chrono_length - 2) * torch.rand(last - first, generator=generator, dtype=torch.float64)
            drawn[first:last] += steps.log()
            if parameter.admit != (0, 0):
                drawn[slice(*parameter.admit)] -= steps.log()
        return drawn

    def _draw_block(self, generator: torch.Generator, hidden_size: int) -> Tensor:
        """Draw one block of recurrent weights, and check its shape and type."""
        block, size = self.recurrent_block(generator, hidden_size), (hidden_size, hidden_size)
        if not isinstance(block, Tensor) or block.shape != size or block.dtype != torch.float64:
            found = f"{tuple(block.shape)} of {block.dtype}" if isinstance(block, Tensor) else repr(block)
            raise ValueError(f"{type(self).__name__}.recurrent_block must return {size} of torch.float64, got {found}")
        return block


def _scale(scale: float | None, fans: int) -> float:
    """A standard deviation; by default that of Glorot and Bengio (2010), from the sum of fan-in and fan-out."""
    return (2 / fans) ** 0.5 if scale is None else scale
