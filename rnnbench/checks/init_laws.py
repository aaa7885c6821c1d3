"""Laws of an initialization."""

from dataclasses import dataclass

import torch

from rnnbench.checks.law import Law, LawError
from rnnbench.init.base import Initializer
from rnnbench.models.base import Model

SEED = 2024


@dataclass(frozen=True)
class InitCase:
    """An initialization, and the model whose parameters it draws."""

    init: Initializer
    model: Model

    def draw(self, seed: int = SEED) -> dict[str, torch.Tensor]:
        """The parameters of a seed."""
        return self.init.initial_parameters(torch.Generator().manual_seed(seed), self.model)


def shapes_are_those_of_the_layout(case: InitCase) -> None:
    """Every parameter is drawn, in its shape, in float64 and finite."""
    drawn = case.draw()
    if list(drawn) != list(case.model.layout):
        raise LawError(f"must draw {list(case.model.layout)} in this order, got {list(drawn)}")
    for name, values in drawn.items():
        shape = case.model.layout[name].shape
        if tuple(values.shape) != shape or values.dtype != torch.float64:
            raise LawError(f"{name} must be {shape} of torch.float64, got {tuple(values.shape)} of {values.dtype}")
        if not bool(values.isfinite().all()):
            raise LawError(f"{name} is not finite")


def a_seed_decides_the_draw(case: InitCase) -> None:
    """The parameters are a function of the generator alone; torch's own random state is neither read nor changed."""
    first, state = case.draw(), torch.get_rng_state()
    try:
        torch.manual_seed(int(state.sum()) + 1)
        other_state = torch.get_rng_state()
        again = case.draw()
        if not torch.equal(torch.get_rng_state(), other_state):
            raise LawError("a draw changes torch's own random state; pass generator=generator")
    finally:
        torch.set_rng_state(state)
    for name, values in first.items():
        if not torch.equal(values, again[name]):
            raise LawError(f"{name} of one seed differs between two draws; pass generator=generator")


INIT_LAWS: tuple[Law[InitCase], ...] = (
    Law("parameters have their shapes and are finite", "No net can start from them.", shapes_are_those_of_the_layout),
    Law("a seed decides the parameters", "A run could not be repeated.", a_seed_decides_the_draw),
)
