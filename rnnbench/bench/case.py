"""A random problem of a given shape, the same for every variant.

Letters: R replicas, B sequences, T time steps, n hidden units, d inputs, o outputs, P parameters of one replica.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from rnnbench.bench.options import Shape
from rnnbench.losses import LOSSES, Loss
from rnnbench.models.base import Model
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.tasks.base import Batch

INPUT_SIZE, OUTPUT_SIZE = 2, 1
INPUT_SCALE = 0.1

SPECTRAL_RADIUS = 0.9
"""Of the recurrent weights, about: gradients vanish into the range of denormals over 1000 steps, and not over 100."""

PARAMETER_TOLERANCE = 2e-3
"""Largest difference of one parameter's part of a result, relative to that part: float32 over 1000 steps."""

WHOLE_TOLERANCE = 1e-5
"""The same relative to the whole result, for parts that vanish, as that of the initial state does."""


class MismatchError(Exception):
    """A variant does not compute what it is compared with; the message names it."""


@dataclass(frozen=True)
class Case:
    """Squared error at the last step of full-length sequences.

    Attributes:
        shape: Of the problem.
        model: The net.
        batch: The sequences.
        theta: Parameters, (R, P).
        vector: A direction in their space, (R, P).
    """

    shape: Shape
    model: Model
    batch: Batch
    theta: Tensor
    vector: Tensor

    @property
    def loss(self) -> Loss:
        """Squared error."""
        return LOSSES["squared_error"]

    @property
    def targets(self) -> Tensor:
        """One target per sequence, (R, B, o)."""
        return self.batch.targets[0]


@dataclass(frozen=True)
class Computation:
    """A gradient or a product, set up.

    Attributes:
        run: Computes it.
        rows: Lays out what `run` returns as theta is, (R, P); None where there is nothing to compare.
        close: Gives back what it holds beside memory.
    """

    run: Callable[[], object]
    rows: Callable[..., Tensor] | None
    close: Callable[[], None] = lambda: None


Threading = Literal["torch", "own", "process"]
"""What decides over how many threads a computation is spread: torch.set_num_threads; the number that it was made with;
or the processors that the process may use."""


@dataclass(frozen=True)
class Way:
    """A way to compute a gradient or a product.

    Attributes:
        name: Said in tables.
        make: Sets it up for a case and a number of threads.
        threading: What decides over how many threads it is spread.
        flushes: Whether denormals are to be flushed while it runs.
    """

    name: str
    make: Callable[[Case, int], Computation]
    threading: Threading = "torch"
    flushes: bool = True

    def circumstances(self, threads: int) -> dict[str, Any]:
        """Arguments of `Lanes.call` and `Variant` for a number of threads."""
        return {
            "torch_threads": threads if self.threading == "torch" else 1,
            "flushes": self.flushes,
            "cores": threads if self.threading == "process" else None,
        }


def make_case(shape: Shape, net: Callable[[int, int, int], Model] = SimpleRnn) -> Case:
    """Draw a case: normal weights of `SPECTRAL_RADIUS` and normal inputs.

    Args:
        shape: Of the problem.
        net: Makes it from the numbers of inputs, outputs and hidden units.
    """
    generator = torch.Generator().manual_seed(0)
    replicas, sequences, steps, units = shape
    model = net(INPUT_SIZE, OUTPUT_SIZE, units)
    scales = {"weight_hh": SPECTRAL_RADIUS * units**-0.5, "weight_out": units**-0.5}
    rows = [
        model.flatten(
            {
                name: torch.randn(size, generator=generator) * scales.get(name, INPUT_SCALE)
                for name, size in model.layout.items()
            }
        )
        for _ in range(replicas)
    ]
    batch = Batch(
        inputs=torch.randn(steps, replicas, sequences, INPUT_SIZE, generator=generator),
        lengths=torch.full((replicas, sequences), steps),
        output_steps=torch.full((1, replicas, sequences), steps - 1),
        targets=torch.randn(1, replicas, sequences, OUTPUT_SIZE, generator=generator),
    )
    theta = torch.stack(rows)
    return Case(shape, model, batch, theta, torch.randn(theta.shape, generator=generator))


def check_agreement(name: str, case: Case, found: Tensor, expected: Tensor) -> None:
    """Check that a variant computes the same as we do, parameter by parameter.

    Args:
        name: The variant.
        case: Whose result it is.
        found: The variant's, (R, P).
        expected: Ours, (R, P).

    Raises:
        MismatchError: It does not, or is not finite.
    """
    if found.shape != expected.shape:
        raise MismatchError(f"{name}: expected a result of shape {tuple(expected.shape)}, got {tuple(found.shape)}")
    whole = expected.double().norm(dim=1)  # (R,)
    other = case.model.parameters(found.double())
    for parameter, part in case.model.parameters(expected.double()).items():
        allowed = PARAMETER_TOLERANCE * part.flatten(1).norm(dim=1) + WHOLE_TOLERANCE * whole
        difference = (other[parameter] - part).flatten(1).norm(dim=1)
        if not bool((difference <= allowed).all()):
            worst = int((difference / allowed).nan_to_num(nan=torch.inf).argmax())
            raise MismatchError(
                f"{name} does not compute what rnnbench does at {tuple(case.shape)}: {parameter} of replica {worst} "
                f"differs by {difference[worst]:.3g}, allowed is {allowed[worst]:.3g}"
            )
