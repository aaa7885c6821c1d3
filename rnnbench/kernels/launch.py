"""Launches of the kernels on tensors: strides, blocks, and the choice of tiles.

On a GPU an autotuner tries every tile once for each size, and stores the times in Triton's cache on disk. Triton's
interpreter (TRITON_INTERPRET=1), which runs the kernels on CPU tensors, does no tuning.

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
"""Largest matrix kept in registers, in rows and columns: 64 KiB, and twice that when split for tensor-core products:
half of a multiprocessor's registers."""

MAX_FUSED_INPUTS = 32
"""Largest size of [x_t, 1] that a kernel multiplies itself; a larger one would need a second resident matrix."""

TUNED_BY = ("hidden_size", "num_sequences", "rounded_replicas")


@dataclass(frozen=True)
class Tile:
    """Tile size of a kernel.

    Attributes:
        rows: Number of sequences per program.
        warps: Number of warps (32 threads each) per program.
    """

    rows: int
    warps: int


TILES = (Tile(16, 4), Tile(16, 8), Tile(32, 8), Tile(64, 8))
"""Candidates of the autotuner. Small tiles spread few sequences over the chip; large ones read the matrix less."""


def is_interpreted() -> bool:
    """Whether Triton's interpreter runs the kernels, on CPU tensors."""
    return isinstance(states_kernel, InterpretedFunction)


def blocks(hidden_size: int) -> dict[str, Any]:
    """Columns of a tile, a power of two, and whether a matrix of this size stays in registers."""
    block = max(MIN_BLOCK.value, triton.next_power_of_2(hidden_size))
    return {"BLOCK": block, "IS_RESIDENT": block <= MAX_RESIDENT_SIZE}


def fuses_inputs(num_inputs: int) -> bool:
    """Whether `run_states` itself multiplies [x_t, 1], d + 1 numbers, with its weights."""
    return num_inputs <= MAX_FUSED_INPUTS


def run_states(rows: Tensor, step: Tensor, nonlinearity: str) -> None:
    """Compute the states, in place in `rows`.

    Args:
        rows: (r, T + 1, b, at least c), contiguous: [h_t, x_{t+1}, 1] at index t; if inputs are not fused, the input
            part of a_t in the place of h_t.
        step: (r, c, n), rows [W_hh^T; W_ih^T; b], contiguous for each replica.
        nonlinearity: Name of the nonlinearity.
    """
    r, steps, b, width = rows.shape[0], rows.shape[1] - 1, rows.shape[2], rows.shape[3]
    num_inputs, n = step.shape[1] - step.shape[2], step.shape[2]
    arguments = [rows, step, steps, b, n, num_inputs, rows.stride(0), rows.stride(1), width, step.stride(0)]
    extra = max(MIN_BLOCK.value, triton.next_power_of_2(num_inputs)) if fuses_inputs(num_inputs) else 0
    options = {**blocks(n), "EXTRA": extra, "NONLINEARITY": nonlinearity}
    _launch(states_kernel, "rows", arguments, options, r, b)


def run_tangents(tangents: Tensor, rows: Tensor, step: Tensor, lengths: Tensor | None, nonlinearity: str) -> None:
    """Compute the tangents, in place.

    Args:
        tangents: (r, T + 1, b, n), contiguous: dh_0; the place of dh_t holds the direction's part of da_t.
        rows: See `run_states`; with the states.
        step: See `run_states`.
        lengths: (r, b), int64: dh_t is zero after a sequence's end; None: all sequences have T steps.
        nonlinearity: Name of the nonlinearity.
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
    """

    tangents: Tensor
    weight: Tensor


def run_gradients(
    gradients: Tensor,
    rows: Tensor,
    recurrent: Tensor,
    source: Tensor,
    output_step: Tensor | None,
    damped: StructuralDamping | None,
    nonlinearity: str,
) -> None:
    """Compute dL/da_t.

    Args:
        gradients: (r, T, b, n), contiguous, overwritten.
        rows: See `run_states`; with the states.
        recurrent: W_hh, (r, n, n), contiguous for each replica.
        source: dL/dh_t of the outputs, (T, r, b, n), which may be a view of `gradients`; or (1, r, b, n).
        output_step: (r, b), int64: the step of the only output of each sequence, for a source (1, r, b, n); None: the
            source has a gradient for every step.
        damped: Structural damping; None for none.
        nonlinearity: Name of the nonlinearity.
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
        "IS_DAMPED": damped is not None,
        "NONLINEARITY": nonlinearity,
    }
    _launch(gradients_kernel, "gradients", arguments, options, r, b)


_fixed: list[Tile] = []


@contextmanager
def fixed_tile(tile: Tile) -> Iterator[None]:
    """Launch every kernel with a given tile, for tests."""
    _fixed.append(tile)
    try:
        yield
    finally:
        _fixed.pop()


def _launch(
    kernel: Any, in_place: str, arguments: list[Any], options: dict[str, Any], num_replicas: int, num_sequences: int
) -> None:
    """Launch a program for each tile of each replica; `in_place` names the argument that the kernel overwrites."""
    # Replicas end one by one; rounding to a power of two keeps the autotuner from starting over each time.
    arguments = [*arguments, triton.next_power_of_2(num_replicas)]
    device = arguments[0].device
    if not is_interpreted():
        options = {**options, "enable_fp_fusion": True}  # without this setting Triton warns
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
    """The kernel with its autotuner, created once."""
    if id(kernel) not in _tuners:
        configs = [triton.Config({"ROWS": tile.rows}, num_warps=tile.warps, num_stages=1) for tile in TILES]
        given = inspect.signature(triton.autotune).parameters
        cached = {"cache_results": True} if "cache_results" in given else {}  # not in Triton 3.2
        tuner = triton.autotune(configs, key=list(TUNED_BY), restore_value=[in_place], **cached)
        _tuners[id(kernel)] = tuner(kernel)
    return _tuners[id(kernel)]
