"""How the arithmetic of a batch is spread: blocks of sequences, worker threads, buffers kept between updates.

Each worker runs whole blocks with single-threaded operations. At these sizes (an operation takes tens of microseconds)
that is faster than splitting every operation over threads, and a busy core slows one worker instead of stopping all at
every operation. A block's rows stay in cache from one time step to the next.
"""

import itertools
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from rnnbench.models.base import BlockShape, Model, Sweeps

ROWS_PER_BLOCK = 1000
"""Largest wanted number of sequences of a block, over its replicas.

At n = 100, T = 100 and B = 1000 products took 0.92 (one thread) to 0.94 (two) of the time with 350, gradients 0.80 to
0.89: fewer operations, whose calls two workers make in turn.
"""

BYTES_PER_GPU_BLOCK = 2**31
"""Buffers of a block on a GPU: few large blocks, since each costs its launches, and rows enough to fill any chip."""

SEQUENCES_WORTH_A_BLOCK = 64
"""Fewest sequences of a block beside others: two workers on 50 each (n = 100) are no faster than one on 100."""

NUM_TRACED_SEQUENCES = 64
"""Sequences of each replica whose states the probes may read, where they do not ask for more."""

SEQUENCE_GRAIN = 4
"""Many sequences are split into multiples of it, which a model can cut into equal pieces."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Block:
    """A rectangle of the batch: some replicas, some of their sequences."""

    replicas: slice
    sequences: slice


def rows_per_block(model: Model, num_steps: int, dtype: torch.dtype, device: torch.device) -> int:
    """Largest wanted number of sequences of a block, over its replicas, on a device."""
    if device.type == "cpu":
        return ROWS_PER_BLOCK
    return max(1, BYTES_PER_GPU_BLOCK // model.block_bytes(BlockShape(1, num_steps, 1, dtype, device)))


def split(
    num_replicas: int, num_sequences: int, num_workers: int, most_rows: int = ROWS_PER_BLOCK, fewest: int = 1
) -> list[Block]:
    """Cut a batch of (R, B) sequences into as few blocks as keep every worker equally busy.

    Several replicas per block where a replica has few sequences, one where it has many; at most `most_rows`
    sequences in a block, and at least `SEQUENCES_WORTH_A_BLOCK` where there are several blocks, but for rounding and
    where at least `fewest` blocks are wanted.
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


def _even_slices(length: int, parts: int) -> Iterable[slice]:
    grain = SEQUENCE_GRAIN if length >= SEQUENCE_GRAIN * SEQUENCE_GRAIN * parts else 1
    bounds = [min(round(k * length / parts / grain) * grain, length) for k in range(parts)] + [length]
    return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]


class Engine:
    """Runs blocks on worker threads and lends them buffers.

    Args:
        model: Whose sweeps are run.
        threads: Number of workers.
        device: Where the arithmetic is done; on a GPU one worker launches everything.
        dtype: Floating-point type of the buffers.
        num_traced: First sequences of each replica whose states outlive a gradient, for the probes, however a batch is
            cut into blocks; at least `NUM_TRACED_SEQUENCES`, and all of a batch that has fewer.
    """

    def __init__(
        self,
        model: Model,
        threads: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        num_traced: int = 0,
    ) -> None:
        _keep_operations_single_threaded()
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
        """Cut a batch into blocks for the workers; see `split`.

        Args:
            num_replicas: R.
            num_steps: T.
            num_sequences: B.
            for_gradients: For losses and gradients alone, for which a model may want smaller blocks.
        """
        most_rows = rows_per_block(self.model, num_steps, self.dtype, self.device)
        whole = BlockShape(num_replicas, num_steps, num_sequences, self.dtype, self.device)
        fewest = self.model.min_gradient_blocks(whole) if for_gradients else 1
        return split(num_replicas, num_sequences, self.threads, most_rows, fewest)

    def map(self, function: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
        """Apply a function to every block on the workers; results in the order of the blocks."""
        if self._executor is None or len(items) == 1:
            return [function(item) for item in items]
        return list(self._executor.map(function, items))

    def lend(self, replicas: int, steps: int, sequences: int) -> Sweeps:
        """Sweeps with buffers of a shape, from those given back or new."""
        shape = BlockShape(replicas, steps, sequences, self.dtype, self.device)
        with self._lock:
            if self._free[shape]:
                return self._free[shape].pop()
        return self.model.sweeps(shape)

    def give_back(self, sweeps: Iterable[Sweeps]) -> None:
        """Take sweeps back for later use."""
        with self._lock:
            for one in sweeps:
                self._free[one.shape].append(one)

    def close(self) -> None:
        """Stop the workers and drop all buffers."""
        if self._executor is not None:
            self._executor.shutdown()
        self.drop_buffers()

    def drop_buffers(self) -> None:
        """Let go of the buffers that nobody uses now; what is lent next is made anew."""
        with self._lock:
            self._free.clear()


@cache
def _keep_operations_single_threaded() -> None:
    """Keep numpy's products from being split over threads of their own; workers call them side by side."""
    threadpool_limits(1, user_api="blas")


def forbid_tf32() -> None:
    """Have products and cuDNN's recurrences in float32 on a GPU, not in TF32."""
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


def flush_denormals() -> None:
    """Flush denormal floats to zero in this thread.

    A vanishing gradient runs into float32's denormal range, where every operation on a CPU is many times slower
    (a factor of 4 for whole gradients at T = 1000).
    """
    torch.set_flush_denormal(True)
