"""A random problem of a given shape, and ways to compute its gradients and products.

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
"""Largest relative difference of the part of a result that belongs to one parameter; for float32 over 1000 steps."""

WHOLE_TOLERANCE = 1e-5
"""Largest difference relative to the norm of the whole result, for parts that vanish, such as the initial state's."""


class MeasurementError(Exception):
    """A measurement cannot be made; the message says which one and why."""


class MismatchError(MeasurementError):
    """Two compared ways give different results; the message names them."""


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
        run: Function that computes the result.
        rows: Function that converts the result of `run` to the layout of theta, (R, P); None: nothing is compared.
        close: Function that releases threads and buffers.
    """

    run: Callable[[], object]
    rows: Callable[..., Tensor] | None
    close: Callable[[], None] = lambda: None


Threading = Literal["torch", "own", "process"]
"""How the number of threads of a computation is set: "torch": torch.set_num_threads; "own": its own argument;
"process": the processors that the process may use."""


@dataclass(frozen=True)
class Way:
    """A way to compute a gradient or a product.

    Attributes:
        name: Name in tables.
        make: Function that prepares the computation for a case and a number of threads.
        threading: How the number of threads is set.
        flushes: Whether denormals are flushed to zero while it runs.
    """

    name: str
    make: Callable[[Case, int], Computation]
    threading: Threading = "torch"
    flushes: bool = True

    def circumstances(self, threads: int) -> dict[str, Any]:
        """Return the arguments of `Lanes.call` and `Variant` for a number of threads."""
        return {
            "torch_threads": threads if self.threading == "torch" else 1,
            "flushes": self.flushes,
            "cores": threads if self.threading == "process" else None,
        }


def make_case(shape: Shape, net: Callable[[int, int, int], Model] = SimpleRnn) -> Case:
    """Draw a case: normally distributed weights of `SPECTRAL_RADIUS`, and normally distributed inputs.

    Args:
        shape: Size of the problem.
        net: Function that makes the net from the numbers of inputs, outputs and hidden units.
    """
    generator = torch.Generator().manual_seed(0)
    replicas, sequences, steps, units = shape
    model = net(INPUT_SIZE, OUTPUT_SIZE, units)
    scales = {"recurrent": SPECTRAL_RADIUS * units**-0.5, "readout": units**-0.5}
    rows = [
        model.flatten(
            {
                name: torch.randn(each.shape, generator=generator) * scales.get(each.kind, INPUT_SCALE)
                for name, each in model.layout.items()
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


def check_agreement(name: str, case: Case, result: Tensor, expected: Tensor) -> None:
    """Check that a way gives the same result as rnnbench, parameter by parameter.

    Args:
        name: Name of the way.
        case: The problem.
        result: Result of the way, (R, P).
        expected: Result of rnnbench, (R, P).

    Raises:
        MismatchError: The results differ, or are not finite.
    """
    if result.shape != expected.shape:
        raise MismatchError(f"{name}: expected a result of shape {tuple(expected.shape)}, got {tuple(result.shape)}")
    norm = expected.double().norm(dim=1)  # (R,)
    other = case.model.parameters(result.double())
    for parameter, part in case.model.parameters(expected.double()).items():
        allowed = PARAMETER_TOLERANCE * part.flatten(1).norm(dim=1) + WHOLE_TOLERANCE * norm
        difference = (other[parameter] - part).flatten(1).norm(dim=1)
        if not bool((difference <= allowed).all()):
            worst = int((difference / allowed).nan_to_num(nan=torch.inf).argmax())
            raise MismatchError(
                f"{name} and rnnbench give different results at {tuple(case.shape)}: {parameter} of replica {worst} "
                f"differs by {difference[worst]:.3g}, at most {allowed[worst]:.3g} is allowed"
            )
