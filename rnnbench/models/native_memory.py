"""Sizes of the tiles and of the memory of native kernels.

Letters as in `rnnbench.models.base`.
"""

import threading

import torch
from torch import Tensor

from rnnbench.models.base import BlockShape, Model

LINE_BYTES = 64

ROWS_AT_ONCE = 6
"""Rows that the kernels multiply at once: tiles of other sizes than multiples of 5 or 6 waste up to a fifth."""

MOST_TIMES = 4
"""Tiles have up to so many times as many sequences; larger ones gain nothing."""

SEQUENCES_PER_TIME = 64
"""Number of sequences for each of these times. Small tiles keep more cores busy, but cost up to 5 %."""

_memory = threading.local()


def tile_size(num_sequences: int) -> int:
    """Number of sequences of a tile. It depends on nothing else, since the rounding of a gradient depends on it."""
    target = ROWS_AT_ONCE * min(MOST_TIMES, max(1, num_sequences // SEQUENCES_PER_TIME))
    num_tiles = -(-num_sequences // target)
    return -(-num_sequences // num_tiles)


def padded(width: int, dtype: torch.dtype) -> int:
    """Width of a row padded to whole cache lines."""
    line = LINE_BYTES // dtype.itemsize
    return -(-width // line) * line


def block_bytes(model: Model, shape: BlockShape, num_saved: int) -> int:
    """Bytes of the buffers of a block; see `Model.block_bytes`.

    Args:
        model: The net.
        shape: Shape of the block.
        num_saved: See `rnnbench.native.calls.Library`.
    """
    state = padded(model.hidden_size, shape.dtype)
    width = padded(model.hidden_size + model.input_size + 1, shape.dtype) + (num_saved + 1) * state
    return shape.replicas * (shape.steps + 1) * shape.sequences * width * shape.dtype.itemsize


def scratch(num_bytes: int) -> Tensor:
    """Memory of the calling thread, at least `num_bytes`; reused between calls."""
    memory: Tensor | None = getattr(_memory, "scratch", None)
    if memory is None or memory.numel() < num_bytes:
        memory = _memory.scratch = torch.empty(num_bytes, dtype=torch.uint8)
    return memory
