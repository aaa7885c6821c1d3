"""Splits the computation of a batch: blocks of sequences, worker threads, buffers that are reused between updates.

Each worker runs whole blocks with single-threaded operations. At these sizes (an operation takes tens of microseconds)
that is faster than splitting every operation over threads, and a busy core slows one worker instead of all at every
operation. A block's rows stay in cache from one time step to the next.
"""

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rnnbench.models.base import BlockShape, Model, Sweeps

ROWS_PER_BLOCK = 1000
"""Target for the largest number of sequences of a block, over all its replicas.

Compared with 350, at n = 100, T = 100 and B = 1000, products took 0.92 (one thread) to 0.94 (two threads) of the time
and gradients 0.80 to 0.89, since there are fewer operations and the workers serialize on launching them.
"""

BYTES_PER_SHARED_BLOCK = 2**24
"""Bytes of the buffers of a block that all threads share: they stay in the last cache between its sweeps."""

REPLICAS_TIMES = 4
"""Blocks of whole replicas for gradients have up to so many times these bytes: their threads keep no more than the
states of a tile, so that only the fixed cost of a block counts, 0.1 ms."""

BYTES_PER_GPU_BLOCK = 2**31
"""Bytes of the buffers of a block on a GPU: few large blocks, since every block costs its kernel launches."""

SEQUENCES_WORTH_A_BLOCK = 64
"""Smallest block of a batch that is split: two workers on 50 sequences each (n = 100) are no faster than one on 100."""

NUM_TRACED_SEQUENCES = 64
"""Default number of sequences of each replica whose states the probes can read."""

SEQUENCE_GRAIN = 4
"""Long batches are split into multiples of this, so that a model can split a block into equal parts."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Block:
    """Part of a batch: some sequences of some replicas."""

    replicas: slice
    sequences: slice


def rows_per_block(model: Model, num_steps: int, dtype: torch.dtype, device: torch.device) -> int:
    """Target for the largest number of sequences of a block, over all its replicas, on a device."""
    if model.ignores_threads(device, dtype):
        most = BYTES_PER_SHARED_BLOCK
    elif device.type == "cpu":
        return ROWS_PER_BLOCK
    else:
        most = BYTES_PER_GPU_BLOCK
    return max(1, most // model.block_bytes(BlockShape(1, num_steps, 1, dtype, device)))


def split(
    num_replicas: int, num_sequences: int, num_workers: int, most_rows: int = ROWS_PER_BLOCK, fewest: int = 1
) -> list[Block]:
    """Split a batch of (R, B) sequences into the fewest blocks that keep all workers equally busy.

    A block holds several replicas if they have few sequences each, and part of one replica if it has many.

    Args:
        num_replicas: R.
        num_sequences: B.
        num_workers: Number of workers.
        most_rows: Largest number of sequences of a block, up to rounding.
        fewest: Smallest number of blocks; beyond it, blocks have at least `SEQUENCES_WORTH_A_BLOCK` sequences.
    """
    rounds = -(-num_replicas * num_sequences // (num_workers * most_rows))
    num_blocks = max(fewest, min(num_workers * rounds, num_replicas * num_sequences // SEQUENCES_WORTH_A_BLOCK))
    replica_blocks = min(num_blocks, num_replicas)
    sequence_blocks = min(-(-num_blocks // replica_blocks), num_sequences)
    return [
        Block(replicas, sequences)
        for replicas in _even_slices(num_replicas, replica_blocks)
        for sequences in _even_slices(num_sequences, sequence_blocks)
    ]


def split_by_size(num_replicas: int, num_sequences: int, most_rows: int, most_together: int) -> list[Block]:
    """Split a batch of (R, B) sequences into blocks, in a way that does not depend on the number of workers.

    How the sequences of a replica are split does not depend on the number of replicas either.

    Args:
        num_replicas: R.
        num_sequences: B.
        most_rows: Largest number of sequences of a block with a part of a replica.
        most_together: Largest number of sequences of a block with several replicas.
    """
    at_once = max(1, most_together // num_sequences) if num_sequences <= most_rows else 1
    sequences = _even_slices(num_sequences, -(-num_sequences // most_rows))
    starts = range(0, num_replicas, at_once)
    replicas = [slice(start, min(start + at_once, num_replicas)) for start in starts]
    return [Block(some, part) for some in replicas for part in sequences]


def _even_slices(length: int, parts: int) -> Sequence[slice]:
    grain = SEQUENCE_GRAIN if length >= SEQUENCE_GRAIN * SEQUENCE_GRAIN * parts else 1
    bounds = [min(round(k * length / parts / grain) * grain, length) for k in range(parts)] + [length]
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]


class Engine:
    """Runs blocks on worker threads and lends them buffers.

    Args:
        model: Model whose sweeps are run.
        threads: Number of workers.
        device: Device of the computation; on a GPU one worker launches everything.
        dtype: Floating-point type of the buffers.
        num_traced: Number of first sequences of each replica whose states the probes can read after a gradient; at
            least `NUM_TRACED_SEQUENCES`, and all sequences of a smaller batch.
    """

    def __init__(
        self,
        model: Model,
        threads: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        num_traced: int = 0,
    ) -> None:
        keep_operations_single_threaded()
        self.num_traced = max(NUM_TRACED_SEQUENCES, num_traced)
        self.model, self.device, self.dtype = model, torch.device(device), dtype
        self.threads = threads if self.device.type == "cpu" else 1
        self._executor: ThreadPoolExecutor | None = None
        if self.threads > 1:
            self._executor = ThreadPoolExecutor(self.threads, "rnnbench-worker", initializer=flush_denormals)
        self._free: dict[BlockShape, list[Sweeps]] = defaultdict(list)
        self._lock = threading.Lock()

    def split(
        self, num_replicas: int, num_steps: int, num_sequences: int, *, for_gradients: bool = False
    ) -> list[Block]:
        """Split a batch into blocks for the workers; see `split`.

        Args:
            num_replicas: R.
            num_steps: T.
            num_sequences: B.
            for_gradients: Whether only losses and gradients are computed; a model may ask for smaller blocks then.
        """
        most_rows = rows_per_block(self.model, num_steps, self.dtype, self.device)
        if self.model.ignores_threads(self.device, self.dtype):
            most_together = most_rows * (REPLICAS_TIMES if for_gradients else 1)
            return split_by_size(num_replicas, num_sequences, most_rows, most_together)
        whole = BlockShape(num_replicas, num_steps, num_sequences, self.dtype, self.device)
        fewest = self.model.min_gradient_blocks(whole) if for_gradients else 1
        return split(num_replicas, num_sequences, self.threads, most_rows, fewest)

    def map(self, function: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
        """Apply a function to every block on the workers; results in the order of the blocks."""
        if self._executor is None or len(items) == 1:
            return [function(item) for item in items]
        return list(self._executor.map(function, items))

    def lend(self, replicas: int, steps: int, sequences: int) -> Sweeps:
        """Sweeps with buffers of a shape: returned ones if there are any, else new ones."""
        shape = BlockShape(replicas, steps, sequences, self.dtype, self.device)
        with self._lock:
            if self._free[shape]:
                return self._free[shape].pop()
        if self._executor is None:
            return self.model.sweeps(shape)
        return self.model.sweeps(shape, partial(_share, self._executor, self.threads))

    def give_back(self, sweeps: Iterable[Sweeps]) -> None:
        """Return sweeps for later use."""
        with self._lock:
            for one in sweeps:
                self._free[one.shape].append(one)

    def close(self) -> None:
        """Stop the workers and drop all buffers."""
        if self._executor is not None:
            self._executor.shutdown()
        self.drop_buffers()

    def drop_buffers(self) -> None:
        """Free the buffers that are not in use."""
        with self._lock:
            self._free.clear()


def _share(executor: ThreadPoolExecutor, num_threads: int, function: Callable[[], None], most_threads: int) -> None:
    """Run a function on the calling thread and at the same time on idle workers; see `Share`."""
    helpers = [executor.submit(function) for _ in range(min(most_threads, num_threads) - 1)]
    try:
        function()
    finally:
        for helper in helpers:
            if not helper.cancel():  # a helper that has not begun has nothing left to do
                helper.result()


@cache
def keep_operations_single_threaded() -> None:
    """Make numpy's matrix products single-threaded, since several workers call them at once."""
    threadpool_limits(1, user_api="blas")


def forbid_tf32() -> None:
    """Make matrix products and cuDNN's recurrences on a GPU use float32, not TF32."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def flush_denormals() -> None:
    """Flush denormal floats to zero in this thread.

    A vanishing gradient runs into float32's denormal range, where every operation on a CPU is many times slower
    (a factor of 4 for whole gradients at T = 1000).
    """
    torch.set_flush_denormal(True)
