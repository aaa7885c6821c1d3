"""How many worker threads are fastest, measured on the run's own work.

More threads are not always faster: the blocks of a small batch cost more to distribute than to compute, and a core
that is busy with other work delays all threads that wait for it.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import median

import torch

from rnnbench.losses import LOSSES
from rnnbench.models.base import Model
from rnnbench.objective.engine import ROWS_PER_BLOCK, Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.base import Stream, Task

NUM_ROUNDS = 7
MAX_SECONDS = 1.0
"""Of all measurements together, once every candidate has been measured twice."""

BLOCKS_MEASURED = 3
"""For each thread, at most."""

WORTH_A_THREAD = 0.95
"""More threads are used only if they need less than this share of the time."""


def candidates(num_processors: int) -> list[int]:
    """Numbers of threads to try: 1, 2, 4, ... and all processors."""
    powers = [2**k for k in range(num_processors.bit_length()) if 2**k < num_processors]
    return [*powers, num_processors]


def choose(seconds: Mapping[int, Sequence[float]]) -> int:
    """The number of threads with the smallest median time; a larger one only where it is worth it.

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
    """Measure gradients of the run's size with each candidate, in turn, and choose.

    Args:
        task: Gives the sequences.
        model: Whose sweeps are timed.
        num_replicas: R.
        num_sequences: Sequences of a replica in the work that dominates an update.
        dtype: Of the arithmetic.
        num_processors: Processors that this process may use.

    Cost: about a second, less for small work; nothing for one processor, or when asked again. Of many replicas few are
    measured: beyond a few blocks for each thread the answer is the same.
    """
    numbers = candidates(num_processors)
    if len(numbers) == 1:
        return numbers[0]
    most = -(-BLOCKS_MEASURED * num_processors * ROWS_PER_BLOCK // num_sequences)
    num_replicas = min(num_replicas, most)
    batch = task.batch(range(num_replicas), Stream.PROBE, 0, num_sequences, dtype=dtype)
    theta = torch.linspace(-0.1, 0.1, model.num_parameters, dtype=dtype).expand(num_replicas, -1)
    engines = {threads: Engine(model, threads, dtype=dtype) for threads in numbers}
    objectives = {threads: Objective(engine, LOSSES[task.loss], batch) for threads, engine in engines.items()}
    seconds: dict[int, list[float]] = defaultdict(list)
    start = time.perf_counter()
    for round_number in range(-1, NUM_ROUNDS):  # the first round makes the buffers and does not count
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
