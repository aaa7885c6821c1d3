"""Times of gradients and products beside what a user of a GPU would use otherwise.

Everything is float32 without TF32, but where a name says otherwise. Letters as in `rnnbench.bench.case`.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import torch

from rnnbench.bench.case import Case, Computation, check_agreement, make_case
from rnnbench.bench.options import Shape
from rnnbench.bench.peers_gated import torch_gated
from rnnbench.bench.peers_optional import is_installed, jax_gradient, jax_product
from rnnbench.bench.peers_torch import autograd_loop, hoisted_outputs, torch_rnn, vmap_loop
from rnnbench.curvature.engine import Engine
from rnnbench.curvature.objective import Objective
from rnnbench.gpu_check.flashrnn import BACKENDS, flashrnn_gradient, import_error
from rnnbench.gpu_check.stage import Measure, Stage
from rnnbench.models.base import Model
from rnnbench.models.fused_cell import FusedCell
from rnnbench.models.gru import Gru
from rnnbench.models.lstm import Lstm
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.tasks.base import Batch

CPU = torch.device("cpu")

Net = Callable[..., Model]
"""Makes a net from the numbers of inputs, outputs and hidden units, and `recurrence` where it is given."""

GATED: tuple[type[FusedCell], ...] = (Lstm, Gru)

SHAPES = (Shape(1, 1000, 100, 100), Shape(64, 100, 100, 100), Shape(1, 100, 100, 100), Shape(64, 20, 100, 50))
QUICK_SHAPES = (Shape(2, 3, 4, 5),)
ROUNDS, SECONDS = 20, 2.0
"""Fewest rounds after the first two, and seconds after which no more than these are made."""


def case_on(device: torch.device, shape: Shape, net: Net) -> Case:
    """The problem of a shape on a device."""
    case = make_case(shape, net)
    batch = case.batch
    assert batch.output_steps is not None
    tensors = (batch.inputs, batch.lengths, batch.output_steps, batch.targets)
    own = Batch(*(tensor.to(device) for tensor in tensors))
    return replace(case, batch=own, theta=case.theta.to(device), vector=case.vector.to(device))


def objective_of(case: Case) -> Objective:
    """Its batch under our engine."""
    return Objective(Engine(case.model, 1, case.theta.device, case.theta.dtype), case.loss, case.batch)


def our_forward(case: Case) -> Computation:
    """The loss alone."""
    objective = objective_of(case)
    return Computation(lambda: objective.loss(case.theta), None)


def our_gradient(case: Case) -> Computation:
    """Loss and gradient."""
    objective = objective_of(case)
    return Computation(lambda: objective.loss_and_gradient(case.theta), lambda found: found.gradient)


def our_product(case: Case) -> Computation:
    """One Gauss-Newton product."""
    curvature = objective_of(case).linearize(case.theta)
    return Computation(lambda: curvature.product(case.vector), lambda found: found)


def compiled_loop(case: Case) -> Computation:
    """The loop of torch operations under torch.compile."""
    return autograd_loop(case, torch.compile(hoisted_outputs))


GRADIENTS: dict[str, Callable[[Case], Computation]] = {
    "torch.nn.RNN, replicas in turn": torch_rnn,
    "autograd loop": lambda case: autograd_loop(case, hoisted_outputs),
    "loop under torch.func grad and vmap": vmap_loop,
    "loop under torch.compile": compiled_loop,
}

PRODUCTS = (our_product, jax_product)
"""What gives products; everything else gives gradients."""


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow TF32 in products and cuDNN, or not."""
    before = torch.backends.cudnn.allow_tf32, torch.get_float32_matmul_precision()
    torch.backends.cudnn.allow_tf32 = allowed
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before[0]
        torch.set_float32_matmul_precision(before[1])


def timed(
    shape: Shape, device: torch.device, make: Callable[[Case], Computation], net: Net, *, allowed: bool = False
) -> dict[str, Any]:
    """Median and fastest time of a way, in ms, and microseconds of a time step; the result is checked where it can be.

    Args:
        shape: Of the problem.
        device: Where.
        make: The way.
        net: Made from the numbers of inputs, outputs and hidden units.
        allowed: Whether TF32 is.
    """
    case = case_on(device, shape, net)
    with tf32(allowed), torch.device(device):  # nets of torch's own are made there
        way = make(case)
        result = way.run()
        if way.rows is not None and not allowed:
            expected = our_product if make in PRODUCTS else our_gradient
            reference = expected(case_on(device, shape, partial(net, recurrence="torch"))).run()
            rows = reference if isinstance(reference, torch.Tensor) else getattr(reference, "gradient", None)
            assert isinstance(rows, torch.Tensor)
            check_agreement("it", case_on(CPU, shape, net), way.rows(result).cpu(), rows.cpu())
        way.run()
        seconds: list[float] = []
        start = time.perf_counter()
        while len(seconds) < ROUNDS or time.perf_counter() - start < SECONDS / 2:
            seconds.append(_seconds(way.run, device))
            if time.perf_counter() - start > SECONDS and len(seconds) >= 3:
                break
        way.close()
    middle = median(seconds)
    steps = {"ms": 1e3 * middle, "fastest ms": 1e3 * min(seconds), "us of a step": 1e6 * middle / shape.steps}
    return {**steps, "rounds": len(seconds)}


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    """Time of one call, until the device has done it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def timed_jax(shape: Shape, make: Callable[[Case], Computation]) -> Mapping[str, Any]:
    """The same of JAX, on the device that it chooses."""
    return timed(shape, CPU, make, partial(SimpleRnn, recurrence="torch"))


def timed_flashrnn(shape: Shape, device: torch.device, backend: str) -> Mapping[str, Any]:
    """The same of FlashRNN; or why there is no time."""
    reason = import_error()
    if reason is not None:
        return {"not measured": f"flashrnn cannot be imported: {reason}"}
    return timed(shape, device, partial(flashrnn_gradient, backend=backend), SimpleRnn)


def speed_stage(device: torch.device, *, quick: bool) -> Stage:
    """Every way at every shape; quick: a tiny shape, and no compilation."""
    measurements: dict[str, Measure] = {}
    shapes = {"R, B, T, n = " + ", ".join(map(str, shape)): shape for shape in (QUICK_SHAPES if quick else SHAPES)}
    ways = {name: way for name, way in GRADIENTS.items() if not quick or way is not compiled_loop}
    for where, shape in shapes.items():
        for recurrence in ("torch", "triton"):
            net: Net = partial(SimpleRnn, recurrence=recurrence)
            for what, make in (("loss", our_forward), ("gradient", our_gradient), ("product", our_product)):
                measurements[f"{where}: {what}, rnnbench, {recurrence}"] = partial(timed, shape, device, make, net)
        for name, way in ways.items():
            measurements[f"{where}: gradient, {name}"] = partial(timed, shape, device, way, SimpleRnn)
        measurements[f"{where}: gradient, torch.nn.RNN, replicas in turn, TF32"] = partial(
            timed, shape, device, torch_rnn, SimpleRnn, allowed=True
        )
        for gated in GATED:
            name = f"{where}: gradient of {gated.__name__.lower()}"
            for recurrence in ("torch", "fused"):
                net = partial(gated, recurrence=recurrence)
                measurements[f"{name}, rnnbench, {recurrence}"] = partial(timed, shape, device, our_gradient, net)
            peer = f"{name}, torch.nn.{gated.module.__name__}, replicas in turn"
            measurements[peer] = partial(timed, shape, device, torch_gated, gated)
        if is_installed("jax"):
            measurements[f"{where}: gradient, JAX jit(vmap(grad(scan)))"] = partial(timed_jax, shape, jax_gradient)
            measurements[f"{where}: product, JAX jvp + vjp"] = partial(timed_jax, shape, jax_product)
    # Last, since the first call of each compiles for minutes.
    for where, shape in shapes.items():
        for backend in BACKENDS:
            name = f"{where}: gradient, FlashRNN {backend}, bfloat16, replicas as heads"
            measurements[name] = partial(timed_flashrnn, shape, device, backend)
    return Stage("speed", "times of a gradient and of a Gauss-Newton product", measurements, longest=120)
