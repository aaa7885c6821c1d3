"""Compiles every kernel for a GPU, which need not be present: registers, spilled bytes and shared memory."""

import re
import subprocess
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from benchmarks.gpu_check.stage import Measure, Stage
from rnnbench.kernels.gradients import gradients_kernel
from rnnbench.kernels.launch import TILES, Tile, blocks
from rnnbench.kernels.states import states_kernel, tangents_kernel

INDICES = ("lengths", "output_steps")
NUMBERS = ("rows", "step", "tangents", "gradients", "recurrent", "source", "structural")
WARP = 32
OPTIONS = {"num_stages": 1, "enable_fp_fusion": True}
"""Options of every launch."""

LARGEST_SPILL = 2048
"""Largest acceptable number of bytes that a thread spills from registers to memory."""

KERNELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "states": (states_kernel, {"EXTRA": 16}),
    "states, inputs beforehand": (states_kernel, {"EXTRA": 0}),
    "tangents": (tangents_kernel, {"ENDS": True}),
    "gradients": (gradients_kernel, {"ONE_OUTPUT": True, "IS_DAMPED": False}),
    "gradients, damped": (gradients_kernel, {"ONE_OUTPUT": False, "IS_DAMPED": True}),
}


def compilation_stage(capability: int, *, quick: bool) -> Stage:
    """Make the stage: every kernel at three sizes and with every tile.

    Args:
        capability: Compute capability of the chip, such as 90 for 9.0.
        quick: Whether to compile only one kernel.
    """
    measurements: dict[str, Measure] = {}
    for name, (kernel, options) in KERNELS.items():
        for hidden_size in (50, 100, 200):
            for tile in TILES:
                what = f"{name}, n = {hidden_size}, {tile.rows} rows, {tile.warps} warps"
                chosen = {**options, **blocks(hidden_size), "NONLINEARITY": "tanh", "ROWS": tile.rows}
                measurements[what] = partial(compiled, kernel, chosen, tile, capability)
    if quick:
        measurements = dict(list(measurements.items())[:1])
    title = f"kernels compiled for capability {capability / 10:.1f}: registers of a thread, bytes spilled and shared"
    return Stage("compilation", title, measurements, longest=60)


def compiled(kernel: Any, options: Mapping[str, Any], tile: Tile, capability: int) -> dict[str, Any]:
    """Compile one kernel as a launch would: float32 tensors at multiples of 16 bytes, any sizes."""
    signature, aligned = {}, {}
    for index, name in enumerate(kernel.arg_names):
        pointer = "*fp32" if name in NUMBERS else "*i64" if name in INDICES else None
        signature[name] = "constexpr" if name in options else pointer or "i32"
        if pointer or name in ("width", "replica_stride", "step_stride"):
            aligned[(index,)] = [["tt.divisibility", 16]]
    source = ASTSource(fn=kernel, signature=signature, constexprs=dict(options), attrs=aligned)
    target = GPUTarget("cuda", capability, WARP)
    binary = triton.compile(source, target=target, options=OPTIONS | {"num_warps": tile.warps})
    registers, spilled = _resources(binary.asm["cubin"])
    resources = {"registers": registers, "spilled": spilled, "shared": binary.metadata.shared}
    return {**resources, "ok": spilled is None or spilled <= LARGEST_SPILL}


def _resources(binary: bytes) -> tuple[int | None, int | None]:
    """Return registers and stack bytes per thread, from a tool that comes with Triton; None: the tool is missing."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    if not tool.exists():
        return None, None
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        command = [str(tool), "-res-usage", file.name]
        usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    match = re.search(r"REG:(\d+) STACK:(\d+)", usage)
    return (int(match[1]), int(match[2])) if match else (None, None)
