"""Launches of the kernels on tensors: strides, blocks, and the choice of tiles.

On a GPU an autotuner tries every tile once for each size, and keeps the times in Triton's cache on disk. Under Triton's
interpreter (TRITON_INTERPRET=1), which runs the kernels on tensors of the CPU, nothing is tried.

Letters as in `rnnbench.models.simple_rnn_sweeps`.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor
from triton.runtime.interpreter import InterpretedFunction

from rnnbench.kernels.gradients import gradients_kernel
from rnnbench.kernels.states import states_kernel, tangents_kernel
from rnnbench.kernels.tiles import MIN_BLOCK

MAX_RESIDENT_SIZE = 128
"""Rows and columns: 64 KiB, twice that as the parts of its products, half of a multiprocessor's registers."""

MAX_FUSED_INPUTS = 32
"""Numbers of [x_t, 1] up to which a program multiplies them itself; more would be a second matrix to keep."""

TUNED_BY = ("hidden_size", "num_sequences", "rounded_replicas")


@dataclass(frozen=True)
class Tile:
    """How a kernel is cut.

    Attributes:
        rows: Sequences of a program.
        warps: Of 32 threads each, that share its work.
    """

    rows: int
    warps: int


TILES = (Tile(16, 4), Tile(16, 8), Tile(32, 8), Tile(64, 8))
"""What the autotuner tries. Small tiles spread few sequences over the chip, large ones read a split matrix less."""


def is_interpreted() -> bool:
    """Whether the kernels run on tensors of the CPU, one operation after another."""
    return isinstance(states_kernel, InterpretedFunction)


def blocks(hidden_size: int) -> dict[str, Any]:
    """Columns of a tile, a power of two, and whether a matrix of so many stays with its program."""
    block = max(MIN_BLOCK.value, triton.next_power_of_2(hidden_size))
    return {"BLOCK": block, "IS_RESIDENT": block <= MAX_RESIDENT_SIZE}


def fuses_inputs(num_inputs: int) -> bool:
    """Whether `run_states` multiplies [x_t, 1], d + 1 numbers, itself."""
    return num_inputs <= MAX_FUSED_INPUTS


def run_states(rows: Tensor, step: Tensor, nonlinearity: str) -> None:
    """Fill the states of `rows`.

    Args:
        rows: (r, T + 1, b, at least c), contiguous: [h_t, x_{t+1}, 1] at index t; where inputs are not fused, the input
            part of a_t in the place of h_t.
        step: (r, c, n), rows [W_hh^T; W_ih^T; b], each replica's contiguous.
        nonlinearity: Name.
    """
    r, steps, b, width = rows.shape[0], rows.shape[1] - 1, rows.shape[2], rows.shape[3]
    num_inputs, n = step.shape[1] - step.shape[2], step.shape[2]
    arguments = [rows, step, steps, b, n, num_inputs, rows.stride(0), rows.stride(1), width, step.stride(0)]
    extra = max(MIN_BLOCK.value, triton.next_power_of_2(num_inputs)) if fuses_inputs(num_inputs) else 0
    options = {**blocks(n), "EXTRA": extra, "NONLINEARITY": nonlinearity}
    _launch(states_kernel, "rows", arguments, options, r, b)


def run_tangents(tangents: Tensor, rows: Tensor, step: Tensor, lengths: Tensor | None, nonlinearity: str) -> None:
    """Fill the tangents.

    Args:
        tangents: (r, T + 1, b, n), contiguous: dh_0, then in the place of dh_t what the direction adds to da_t.
        rows: As of `run_states`, with the states.
        step: As of `run_states`.
        lengths: (r, b), int64: dh_t is zero after a sequence's end; None: it has no end before T.
        nonlinearity: Name.
    """
    r, steps, b, n = tangents.shape[0], tangents.shape[1] - 1, tangents.shape[2], tangents.shape[3]
    ends = rows if lengths is None else lengths
    arguments = [tangents, rows, step, ends, steps, b, n, rows.stride(0), rows.stride(1), rows.shape[3]]
    arguments += [step.stride(0), ends.stride(0), ends.stride(1)]
    options = {
        **blocks(n),
        "ENDS": lengths is not None,
        "NONLINEARITY": nonlinearity,
    }
    _launch(tangents_kernel, "tangents", arguments, options, r, b)


@dataclass(frozen=True)
class StructuralDamping:
    """Structural damping of a backward sweep.

    Attributes:
        tangents: (r, T + 1, b, n), contiguous.
        weight: (r, 1, 1).
        distance: "cross_entropy" or "squared_error".
    """

    tangents: Tensor
    weight: Tensor
    distance: str


def run_gradients(
    gradients: Tensor,
    rows: Tensor,
    recurrent: Tensor,
    source: Tensor,
    output_step: Tensor | None,
    damped: StructuralDamping | None,
    nonlinearity: str,
) -> None:
    """Fill dL/da_t.

    Args:
        gradients: (r, T, b, n), contiguous, overwritten.
        rows: As of `run_states`, with the states.
        recurrent: W_hh, (r, n, n), each replica's contiguous.
        source: dL/dh_t that enters from the outputs, (T, r, b, n), which may be a view of `gradients`; or (1, r, b, n).
        output_step: (r, b), int64: the step of every sequence's one output, source's first axis being 1; None: a
            gradient enters at every step.
        damped: None: no structural damping.
        nonlinearity: Name.
    """
    r, steps, b, n = gradients.shape
    tangents, weight = (rows, rows) if damped is None else (damped.tangents, damped.weight)
    ends = rows if output_step is None else output_step
    arguments = [gradients, rows, recurrent, source, ends, tangents, weight, steps, b, n]
    arguments += [rows.stride(0), rows.stride(1), rows.shape[3], recurrent.stride(0)]
    arguments += [source.stride(1), source.stride(0), source.stride(2), ends.stride(0), ends.stride(1)]
    arguments.append(weight.stride(0))
    options = {
        **blocks(n),
        "ONE_OUTPUT": output_step is not None,
        "STRUCTURAL": "" if damped is None else damped.distance,
        "NONLINEARITY": nonlinearity,
    }
    _launch(gradients_kernel, "gradients", arguments, options, r, b)


_fixed: list[Tile] = []


@contextmanager
def fixed_tile(tile: Tile) -> Iterator[None]:
    """Launch every kernel with one tile; for tests of each."""
    _fixed.append(tile)
    try:
        yield
    finally:
        _fixed.pop()


def _launch(
    kernel: Any, in_place: str, arguments: list[Any], options: dict[str, Any], num_replicas: int, num_sequences: int
) -> None:
    """Launch a program for each tile of each replica; `in_place` is the argument that a kernel reads and overwrites."""
    # Replicas end one by one; so that the autotuner does not start over each time, it sees a power of two.
    arguments = [*arguments, triton.next_power_of_2(num_replicas)]
    device = arguments[0].device
    if not is_interpreted():
        options = {**options, "enable_fp_fusion": True}  # Triton warns where it is left open
    if _fixed or device.type != "cuda":
        tile = _fixed[-1] if _fixed else TILES[0]
        options = {**options, "ROWS": tile.rows, "num_warps": tile.warps, "num_stages": 1}
    else:
        kernel = _tuned(kernel, in_place)

    def grid(meta: dict[str, int]) -> tuple[int, int]:
        return num_replicas, triton.cdiv(num_sequences, meta["ROWS"])

    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        kernel[grid](*arguments, **options)


_tuners: dict[int, Any] = {}


def _tuned(kernel: Any, in_place: str) -> Any:
    """The kernel with the autotuner around it, made once."""
    if id(kernel) not in _tuners:
        configs = [triton.Config({"ROWS": tile.rows}, num_warps=tile.warps, num_stages=1) for tile in TILES]
        given = inspect.signature(triton.autotune).parameters
        cached = {"cache_results": True} if "cache_results" in given else {}  # not in Triton 3.2
        tuner = triton.autotune(configs, key=list(TUNED_BY), restore_value=[in_place], **cached)
        _tuners[id(kernel)] = tuner(kernel)
    return _tuners[id(kernel)]
