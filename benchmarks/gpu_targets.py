"""Measured lower bounds ("floors") for the time of a step on a GPU, and targets for the measured times.

The targets are for one H200. Letters as in `rnnbench.bench.case`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rnnbench.bench.case import Case, Computation
from rnnbench.bench.options import Shape

FLOOR = "floor of the loss"
LOSS, GRADIENT, PRODUCT = (f"{what}, rnnbench, triton" for what in ("loss", "gradient", "product"))
PEER = "gradient, torch.nn.RNN, replicas in turn"

ONE_PROGRAM = 16
"""Number of sequences in the smallest tile of a kernel, that is, in one program: its time is pure latency."""


def written_bytes(case: Case) -> Computation:
    """Prepare one write of the states of all steps."""
    r, b, steps, n = case.shape
    states = torch.empty(r, steps, b, n, device=case.theta.device)
    return Computation(states.zero_, None)


def products_at_once(case: Case) -> Computation:
    """Prepare the products of all steps, as if they did not depend on each other."""
    r, b, steps, n = case.shape
    generator = torch.Generator().manual_seed(0)
    states, weights = (
        torch.randn(size, generator=generator, device="cpu").to(case.theta) for size in ((r, steps * b, n), (r, n, n))
    )
    out = torch.empty_like(states)
    return Computation(lambda: torch.bmm(states, weights, out=out), None)


FLOORS: Mapping[str, Callable[[Case], Computation]] = {
    f"{FLOOR}, states written": written_bytes,
    f"{FLOOR}, products of all steps at once": products_at_once,
}
LATENCY = f"{FLOOR}, one program of {ONE_PROGRAM} sequences"

Found = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Target:
    """A bound on a number that is computed from the times of a shape.

    Attributes:
        what: Description of the number.
        value: Function that computes the number from the times; KeyError: a time is missing.
        bound: Upper bound, or lower bound if `is_least`.
        shape: Shape for which the target is set; None: all shapes.
        is_least: Whether the bound is a lower bound.
    """

    what: str
    value: Callable[[Found], float]
    bound: float
    shape: Shape | None = None
    is_least: bool = False

    def in_words(self, found: Found) -> str:
        """Return a line with the target, the measured number, and whether the target holds."""
        bound = f"{'at least' if self.is_least else 'at most'} {self.bound:g}"
        try:
            value = self.value(found)
        except KeyError as error:
            return f"Target: {self.what} {bound}: unknown, {error.args[0]!r} was not measured"
        holds = value >= self.bound if self.is_least else value <= self.bound
        return f"Target: {self.what} {bound}: {value:.3g}, {'holds' if holds else 'does not hold'}"


def _over_floor(found: Found) -> float:
    return float(found[LOSS]["ms"] / max(found[name]["ms"] for name in (*FLOORS, LATENCY)))


def _product_over_gradient(found: Found) -> float:
    return float(found[PRODUCT]["ms"] / found[GRADIENT]["ms"])


ONE_NET, MANY_NETS = Shape(1, 1000, 100, 100), Shape(64, 100, 100, 100)
TARGETS: Sequence[Target] = (
    Target("microseconds of a step of the loss", lambda found: float(found[LOSS]["us of a step"]), 3, ONE_NET),
    Target("microseconds of a step of the gradient", lambda found: float(found[GRADIENT]["us of a step"]), 10, ONE_NET),
    Target(
        "times of torch.nn.RNN's gradients in turn over ours",
        lambda found: float(found[PEER]["ms"] / found[GRADIENT]["ms"]),
        20,
        MANY_NETS,
        is_least=True,
    ),
    Target("time of the loss over the largest of its floors", _over_floor, 2),
    Target("time of a product over that of a gradient", _product_over_gradient, 1.5),
)


def targets_in_words(shape: Shape, found: Found) -> list[str]:
    """Return one line per target of a shape.

    Args:
        shape: Size of the problem.
        found: Times of the shape, by the names of `benchmarks.gpu.measurements`.
    """
    return [target.in_words(found) for target in TARGETS if target.shape in (None, shape)]
