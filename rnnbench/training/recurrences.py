"""Chooses the faster recurrence of a gated cell on a GPU, measured on the run's own work.

Recurrence "torch" runs step by step: all replicas share each kernel launch, whose cost does not depend on their number.
Recurrence "fused" runs torch's operation for a whole sequence: fewer launches, but one replica at a time.
"""

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from rnnbench.losses import loss_of
from rnnbench.models.gated_cell import GatedCell
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.base import Stream, Task
from rnnbench.training.graph import NUM_WARM_UPS, Graph, Replayed, Tensors

NUM_ROUNDS = 5
RECURRENCES = ("torch", "fused")


def fastest_recurrence(
    task: Task,
    model: GatedCell,
    num_replicas: int,
    num_sequences: int,
    dtype: torch.dtype,
    device: torch.device,
    make_graph: Callable[[], Graph] | None,
    wait: Callable[[], None],
) -> str:
    """Time gradients of the run's size with either recurrence, and choose the faster one.

    Args:
        task: Task that draws the sequences.
        model: Model whose gradients are timed.
        num_replicas: R.
        num_sequences: Number of sequences per replica in a gradient.
        dtype: Floating-point type of the run.
        device: Device of the run.
        make_graph: Function that makes an empty graph; None: updates of the run are not captured.
        wait: Function that waits until the device has done all queued work.

    Returns:
        "torch" or "fused", as in `GatedCell`.

    Cost: eighteen gradients.
    """
    batch = task.replica_batch(range(num_replicas), Stream.PROBE, 0, num_sequences, dtype=dtype, device=device)
    theta = torch.linspace(-0.1, 0.1, model.num_parameters, dtype=dtype, device=device).repeat(num_replicas, 1)
    seconds = {}
    for recurrence in RECURRENCES:
        engine = Engine(model.with_recurrence(recurrence), device=device, dtype=dtype)
        objective = Objective(engine, loss_of(task.loss), batch)
        seconds[recurrence] = _seconds(objective, theta, make_graph, wait)
        engine.close()
    return min(RECURRENCES, key=lambda recurrence: seconds[recurrence])


def _seconds(
    objective: Objective, theta: Tensor, make_graph: Callable[[], Graph] | None, wait: Callable[[], None]
) -> float:
    """Return the median time of a gradient, replayed as a graph if it can be captured."""

    def gradient(tensors: Tensors) -> Tensors:
        return {"gradient": objective.loss_and_gradient(tensors["theta"]).gradient}

    function = gradient if make_graph is None else Replayed(gradient, make_graph)
    try:
        for _ in range(NUM_WARM_UPS + 1):
            function({"theta": theta})
    except RuntimeError:
        if make_graph is None:
            raise
        objective.engine.drop_buffers()  # buffers allocated during a capture have no values
        return _seconds(objective, theta, None, wait)
    times = []
    for _ in range(NUM_ROUNDS):
        wait()
        start = time.perf_counter()
        function({"theta": theta})
        wait()
        times.append(time.perf_counter() - start)
    return median(times)
