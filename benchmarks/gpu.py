"""Times of gradients and products on a GPU, compared with the alternatives of a user.

Everything is float32 without TF32, unless a name says otherwise. Letters as in `rnnbench.bench.case`.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import torch

from benchmarks.gpu_targets import FLOORS, LATENCY, MANY_NETS, ONE_NET, ONE_PROGRAM, targets_in_words
from benchmarks.options import Options
from benchmarks.peers_flashrnn import BACKENDS, flashrnn_gradient, import_error
from benchmarks.peers_loops import vmap_loop
from benchmarks.peers_optional import is_installed, jax_gradient, jax_product
from rnnbench.bench.announce import Announcer
from rnnbench.bench.case import Case, Computation, check_agreement, make_case
from rnnbench.bench.options import Shape
from rnnbench.bench.peers_gated import torch_gated
from rnnbench.bench.peers_torch import autograd_loop, hoisted_outputs, torch_rnn
from rnnbench.bench.report import Report
from rnnbench.config.errors import ConfigError
from rnnbench.models.base import Model
from rnnbench.models.gated_cell import GatedCell
from rnnbench.models.gru import Gru
from rnnbench.models.lstm import Lstm
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.base import Batch

CPU = torch.device("cpu")

Net = Callable[..., Model]
"""Function that makes a net from the numbers of inputs, outputs and hidden units, and optionally `recurrence`."""

GATED: tuple[type[GatedCell], ...] = (Lstm, Gru)

SHAPES = (ONE_NET, MANY_NETS, Shape(1, 100, 100, 100), Shape(64, 20, 100, 50))
OURS = "rnnbench"
ROUNDS, SECONDS = 20, 2.0
"""Minimum number of rounds after the first two, and time in seconds after which no further rounds are made."""

Measure = Callable[[], Mapping[str, Any]]


def case_on(device: torch.device, shape: Shape, net: Net) -> Case:
    """Make the case of a shape on a device."""
    case = make_case(shape, net)
    batch = case.batch
    assert batch.output_steps is not None
    tensors = (batch.inputs, batch.lengths, batch.output_steps, batch.targets)
    own = Batch(*(tensor.to(device) for tensor in tensors))
    return replace(case, batch=own, theta=case.theta.to(device), vector=case.vector.to(device))


def objective_of(case: Case) -> Objective:
    """Make the objective of a case with our engine."""
    return Objective(Engine(case.model, 1, case.theta.device, case.theta.dtype), case.loss, case.batch)


def our_forward(case: Case) -> Computation:
    """Prepare the loss alone."""
    objective = objective_of(case)
    return Computation(lambda: objective.loss(case.theta), None)


def our_gradient(case: Case) -> Computation:
    """Prepare loss and gradient."""
    objective = objective_of(case)
    return Computation(lambda: objective.loss_and_gradient(case.theta), lambda found: found.gradient)


def our_product(case: Case) -> Computation:
    """Prepare one Gauss-Newton product."""
    curvature = objective_of(case).linearize(case.theta)
    return Computation(lambda: curvature.product(case.vector), lambda found: found)


def compiled_loop(case: Case) -> Computation:
    """Prepare the loop of torch operations under torch.compile."""
    return autograd_loop(case, torch.compile(hoisted_outputs))


GRADIENTS: dict[str, Callable[[Case], Computation]] = {
    "torch.nn.RNN, replicas in turn": torch_rnn,
    "autograd loop": lambda case: autograd_loop(case, hoisted_outputs),
    "loop under torch.func grad and vmap": vmap_loop,
    "loop under torch.compile": compiled_loop,
}

PRODUCTS = (our_product, jax_product)
"""Ways that compute products; all others compute gradients."""


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 in products and cuDNN."""
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
    """Measure the median and fastest time of a way, in ms, and the time per step, in us; its result is checked.

    Args:
        shape: Size of the problem.
        device: Device to measure.
        make: Function that prepares the way.
        net: Function that makes the net from the numbers of inputs, outputs and hidden units.
        allowed: Whether TF32 is allowed; the result is then not checked.
    """
    case = case_on(device, shape, net)
    with tf32(allowed):
        with torch.device(device):  # torch's own nets are created on the default device
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
    """Measure the time of one call, until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def timed_jax(shape: Shape, make: Callable[[Case], Computation]) -> Mapping[str, Any]:
    """Measure a way of JAX, on the device that it chooses; see `timed`."""
    return timed(shape, CPU, make, partial(SimpleRnn, recurrence="torch"))


def timed_flashrnn(shape: Shape, device: torch.device, backend: str) -> Mapping[str, Any]:
    """Measure FlashRNN; see `timed`. If it cannot be imported, the result is the reason, as "not measured"."""
    reason = import_error()
    if reason is not None:
        return {"not measured": f"flashrnn cannot be imported: {reason}"}
    return timed(shape, device, partial(flashrnn_gradient, backend=backend), SimpleRnn)


def measurements(shape: Shape, device: torch.device, *, quick: bool = False) -> dict[str, Measure]:
    """Return the measurements of all ways at a shape; their names begin with the computed quantity.

    Args:
        shape: Size of the problem.
        device: Device to measure.
        quick: Whether to omit ways that compile for long.
    """
    found: dict[str, Measure] = {}
    for recurrence in ("torch", "triton"):
        net: Net = partial(SimpleRnn, recurrence=recurrence)
        for what, make in (("loss", our_forward), ("gradient", our_gradient), ("product", our_product)):
            found[f"{what}, {OURS}, {recurrence}"] = partial(timed, shape, device, make, net)
    for name, floor in FLOORS.items():
        found[name] = partial(timed, shape, device, floor, SimpleRnn)
    few = shape._replace(replicas=1, sequences=ONE_PROGRAM)
    found[LATENCY] = partial(timed, few, device, our_forward, partial(SimpleRnn, recurrence="triton"))
    for name, way in GRADIENTS.items():
        if not quick or way is not compiled_loop:
            found[f"gradient, {name}"] = partial(timed, shape, device, way, SimpleRnn)
    found["gradient, torch.nn.RNN, replicas in turn, TF32"] = partial(
        timed, shape, device, torch_rnn, SimpleRnn, allowed=True
    )
    for gated in GATED:
        what = f"gradient of {gated.__name__.lower()}"
        for recurrence in ("torch", "fused"):
            net = partial(gated, recurrence=recurrence)
            found[f"{what}, {OURS}, {recurrence}"] = partial(timed, shape, device, our_gradient, net)
        peer = f"{what}, torch.nn.{gated.module.__name__}, replicas in turn"
        found[peer] = partial(timed, shape, device, torch_gated, gated)
    if is_installed("jax"):
        found["gradient, JAX jit(vmap(grad(scan)))"] = partial(timed_jax, shape, jax_gradient)
        found["product, JAX jvp + vjp"] = partial(timed_jax, shape, jax_product)
    for backend in BACKENDS if not quick else ():  # last, since the first call of each compiles for minutes
        name = f"gradient, FlashRNN {backend}, bfloat16, replicas as heads"
        found[name] = partial(timed_flashrnn, shape, device, backend)
    return found


def measure_gpu(options: Options, settings: Sequence[int], announcer: Announcer) -> Iterator[Report]:
    """Measure every way at every shape, one after another, on the first GPU.

    Args:
        options: Shapes, rounds, and whether all is measured.
        settings: Numbers of threads; not used.
        announcer: Shows the progress.

    Raises:
        ConfigError: There is no GPU.
    """
    if not torch.cuda.is_available():
        raise ConfigError(f"the group gpu needs a CUDA device, but torch {torch.__version__} finds none")
    device = torch.device("cuda:0")
    for shape in options.shapes or (SHAPES if options.full else SHAPES[:1]):
        yield report_gpu(shape, measurements(shape, device, quick=not options.full), announcer)


def report_gpu(shape: Shape, measures: Mapping[str, Measure], announcer: Announcer) -> Report:
    """Make the measurements of a shape and their table; a failed measurement becomes a note below it.

    Args:
        shape: Size of the problem.
        measures: Measurements by name, as from `measurements`.
        announcer: Shows the progress.
    """
    announcer.stage("R={} B={} T={} n={}".format(*shape))
    found: dict[str, Mapping[str, Any]] = {}
    notes = []
    for name, measure in measures.items():
        announcer.detail(name)
        try:
            one = measure()
            if "not measured" in one:
                notes.append(f"Not measured: {name}: {one['not measured']}")
            else:
                found[name] = one
        except Exception as error:  # a peer that does not run here is a result too; continue with the others
            notes.append(f"Not measured: {name}: {type(error).__name__}: {error}")
    targets = targets_in_words(shape, found)
    best: dict[str, float] = {}
    for name, one in found.items():
        what, _, way = name.partition(", ")
        if way.startswith(OURS):
            best[what] = min(one["ms"], best.get(what, one["ms"]))
    rows = []
    for name, one in found.items():
        ours = best.get(name.partition(", ")[0])
        ratio = "-" if ours is None else f"{one['ms'] / ours:.2f}"
        rows.append([name, f"{one['ms']:.3g}", f"{one['fastest ms']:.3g}", f"{one['us of a step']:.3g}", ratio])
    return Report(
        "On the GPU, R={} B={} T={} n={}".format(*shape),
        ["", "ms", "fastest", "us of a step", "/ rnnbench"],
        rows,
        [*targets, *notes],
        {"shape": shape._asdict(), "measurements": found, "targets": targets, "failed": notes},
    )
