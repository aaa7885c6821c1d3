"""A random problem of a given shape, and the ways to compute its gradients and products that are compared.

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
"""Approximate spectral radius of the recurrent weights: gradients become denormal within 1000 steps, not within 100."""

PARAMETER_TOLERANCE = 2e-3
"""Largest relative difference of the part of a result that belongs to one parameter: float32 over 1000 steps."""

WHOLE_TOLERANCE = 1e-5
"""Largest difference relative to the whole result, for parts that vanish, such as that of the initial state."""


class MeasurementError(Exception):
    """A measurement cannot be made; the message says which, and why."""


class MismatchError(MeasurementError):
    """Two ways that are compared do not compute the same; the message names them."""


@dataclass(frozen=True)
class Case:
    """Squared error at the last step of full-length sequences.

    Attributes:
        shape: Size of the problem.
        model: The net.
        batch: The sequences.
        theta: Parameters, (R, P).
        vector: Direction for products, (R, P).
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
        """Target of each sequence, (R, B, o)."""
        return self.batch.targets[0]


@dataclass(frozen=True)
class Computation:
    """A gradient or a product, ready to be computed.

    Attributes:
        run: Computes it.
        rows: Converts the result of `run` to the layout of theta, (R, P); None if there is nothing to compare.
        close: Releases threads and buffers.
    """

    run: Callable[[], object]
    rows: Callable[..., Tensor] | None
    close: Callable[[], None] = lambda: None


Threading = Literal["torch", "own", "process"]
"""What sets the number of threads of a computation: torch.set_num_threads, its own argument, or the processors that the
process may use."""


@dataclass(frozen=True)
class Way:
    """A way to compute a gradient or a product.

    Attributes:
        name: Name in tables.
        make: Prepares the computation for a case and a number of threads.
        threading: Function that sets the number of threads.
        flushes: Whether denormals are flushed to zero while it runs.
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
        shape: Size of the problem.
        net: Makes the net from the numbers of inputs, outputs and hidden units.
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
    """Check that a way computes the same as rnnbench, parameter by parameter.

    Args:
        name: Name of the way.
        case: The problem.
        found: Result of the way, (R, P).
        expected: Result of rnnbench, (R, P).

    Raises:
        MismatchError: The results differ, or are not finite.
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
