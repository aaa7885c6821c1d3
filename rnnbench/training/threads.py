"""Chooses the fastest number of worker threads, measured on the run's own work.

More threads are not always faster: distributing the blocks of a small batch can cost more than computing them, and a
core that is busy with other work delays all threads.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import median

import torch

from rnnbench.losses import loss_of
from rnnbench.models.base import Model
from rnnbench.objective.engine import ROWS_PER_BLOCK, Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.base import Stream, Task

NUM_ROUNDS = 7
MAX_SECONDS = 1.0
"""Time limit for all measurements; each candidate is measured at least twice."""

BLOCKS_MEASURED = 3
"""Maximum number of measured blocks per thread."""

WORTH_A_THREAD = 0.95
"""A larger number of threads is chosen only if it takes less than this share of the time."""


def candidates(num_processors: int) -> list[int]:
    """Return the numbers of threads to try: 1, 2, 4, ... and all processors."""
    powers = [2**k for k in range(num_processors.bit_length()) if 2**k < num_processors]
    return [*powers, num_processors]


def choose(seconds: Mapping[int, Sequence[float]]) -> int:
    """Return the number of threads with the smallest median time; a larger one must pay off (`WORTH_A_THREAD`).

    Args:
        seconds: Measured times by number of threads.
    """
    best = 1
    for threads in sorted(seconds):
        if median(seconds[threads]) < WORTH_A_THREAD * median(seconds[best]):
            best = threads
    return best


@lru_cache(maxsize=64)
def fastest_threads(
    task: Task, model: Model, num_replicas: int, num_sequences: int, dtype: torch.dtype, num_processors: int
) -> int:
    """Time gradients of the run's size with each candidate, and choose the fastest.

    Args:
        task: Task that draws the sequences.
        model: Model whose gradients are timed.
        num_replicas: R.
        num_sequences: Number of sequences per replica in the work that dominates an update.
        dtype: Floating-point type of the run.
        num_processors: Number of processors that this process may use.

    Cost: about a second, less for small batches; nothing with one processor, or for repeated arguments. At most a few
    blocks per thread are measured, since further replicas do not change the result.
    """
    numbers = candidates(num_processors)
    if len(numbers) == 1:
        return numbers[0]
    most = -(-BLOCKS_MEASURED * num_processors * ROWS_PER_BLOCK // num_sequences)
    num_replicas = min(num_replicas, most)
    batch = task.replica_batch(range(num_replicas), Stream.PROBE, 0, num_sequences, dtype=dtype)
    theta = torch.linspace(-0.1, 0.1, model.num_parameters, dtype=dtype).expand(num_replicas, -1)
    engines = {threads: Engine(model, threads, dtype=dtype) for threads in numbers}
    objectives = {threads: Objective(engine, loss_of(task.loss), batch) for threads, engine in engines.items()}
    seconds: dict[int, list[float]] = defaultdict(list)
    start = time.perf_counter()
    for round_number in range(-1, NUM_ROUNDS):  # the first round allocates the buffers and is not counted
        if round_number > 1 and time.perf_counter() - start > MAX_SECONDS:
            break
        for threads, objective in objectives.items():
            before = time.perf_counter()
            objective.loss_and_gradient(theta)
            if round_number >= 0:
                seconds[threads].append(time.perf_counter() - before)
    for engine in engines.values():
        engine.close()
    return choose(seconds)
