"""Which way through the steps of a cell is faster on a GPU, measured on the run's own work.

Step by step the replicas share every operation, whose launch costs as much for one as for a hundred; torch's operation
for a whole sequence has fewer, and takes one replica after the other.
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from rnnbench.losses import LOSSES
from rnnbench.models.fused_cell import FusedCell
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.base import Stream, Task
from rnnbench.training.graph import NUM_WARM_UPS, Graph, Replayed, Tensors

NUM_ROUNDS = 5
WAYS = ("torch", "fused")


def fastest_recurrence(
    task: Task,
    model: FusedCell,
    num_replicas: int,
    num_sequences: int,
    dtype: torch.dtype,
    device: torch.device,
    make_graph: Callable[[], Graph] | None,
    wait: Callable[[], None],
) -> str:
    """Measure gradients of the run's size by either way, and choose.

    Args:
        task: Gives the sequences.
        model: Whose gradients are timed.
        num_replicas: R.
        num_sequences: Of a replica, in a gradient.
        dtype: Of the arithmetic.
        device: Of the run.
        make_graph: What updates of the run are captured in; None: they are not.
        wait: Returns when the device has done all that it was asked for.

    Returns:
        "torch" or "fused", as in `FusedCell`.

    Cost: eighteen gradients.
    """
    batch = task.batch(range(num_replicas), Stream.PROBE, 0, num_sequences, dtype=dtype, device=device)
    theta = torch.linspace(-0.1, 0.1, model.num_parameters, dtype=dtype, device=device).repeat(num_replicas, 1)
    seconds = {}
    for way in WAYS:
        engine = Engine(model.with_recurrence(way), device=device, dtype=dtype)
        objective = Objective(engine, LOSSES[task.loss], batch)
        seconds[way] = _seconds(objective, theta, make_graph, wait)
        engine.close()
    return min(WAYS, key=lambda way: seconds[way])


def _seconds(
    objective: Objective, theta: Tensor, make_graph: Callable[[], Graph] | None, wait: Callable[[], None]
) -> float:
    """Median time of a gradient, replayed by a graph where it can be captured."""

    def gradient(tensors: Tensors) -> Tensors:
        return {"gradient": objective.loss_and_gradient(tensors["theta"]).gradient}

    function = gradient if make_graph is None else Replayed(gradient, make_graph)
    try:
        for _ in range(NUM_WARM_UPS + 1):
            function({"theta": theta})
    except RuntimeError:
        if make_graph is None:
            raise
        objective.engine.drop_buffers()  # those of a capture have no values
        return _seconds(objective, theta, None, wait)
    times = []
    for _ in range(NUM_ROUNDS):
        wait()
        start = time.perf_counter()
        function({"theta": theta})
        wait()
        times.append(time.perf_counter() - start)
    return median(times)
