"""Updates of the active replicas that are replayed as a CUDA graph.

Letters: k active replicas of a run, P parameters of one replica.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from rnnbench.models.base import Model
from rnnbench.objective.objective import Objective
from rnnbench.optim.base import Optimizer, State, Update
from rnnbench.tasks.base import Batch, Stream
from rnnbench.training.costs import costs_of
from rnnbench.training.divergence import freeze_diverged
from rnnbench.training.graph import CudaGraph, Graph, Replayed, Tensors
from rnnbench.training.problem import Problem
from rnnbench.training.world import World

STATE = "state/"
"""Prefix of the names of the optimizer state among the tensors of a graph."""


def obstacle_to_capture(
    device: torch.device,
    model: Model,
    optimizer: Optimizer,
    world: World,
    *,
    keeps_previous: bool,
    logs_all: bool,
    lengthens: bool,
) -> str | None:
    """Return the reason why updates cannot be captured as CUDA graphs; None: they can.

    Args:
        device: Device of the parameters.
        model: Model of the run.
        optimizer: Optimizer of the run.
        world: The processes of the run.
        keeps_previous: Whether a probe compares successive updates, so that every update is kept.
        logs_all: Whether every update has a row of metrics.
        lengthens: Whether training starts with shorter sequences.
    """
    if device.type != "cuda":
        return f"device={device} has no CUDA graphs"
    if not optimizer.is_capturable:
        return f"{type(optimizer).__name__} does not declare its updates capturable (is_capturable is False)"
    if lengthens:
        return "task.first_length changes the length of the batches"
    if not model.is_capturable:
        return f"the steps of {type(model).__name__} cannot be captured"
    if keeps_previous:
        return "a probe compares every update with the previous one"
    if logs_all:
        return "every update has a row of metrics"
    if world.size > 1:
        return "several processes train the run together"
    return None


@dataclass(frozen=True)
class Step:
    """The result of an update.

    Attributes:
        theta: Parameters after the update, (k, P); of a diverged replica, those from before it diverged.
        state: Optimizer state after the update, likewise.
        since: `rnnbench.training.divergence.Divergence.since` after the update.
        costs: Costs of the update, from `costs_of`.
        update: The update itself; None: it was replayed as a CUDA graph.
        evaluation: Evaluation of the new parameters; None: this update has none.
    """

    theta: Tensor
    state: State
    since: Tensor
    costs: Mapping[str, Tensor]
    update: Update | None = None
    evaluation: Mapping[str, Tensor] | None = None


class CapturedUpdates:
    """Replays updates that are neither logged nor evaluated as a CUDA graph.

    Batches are drawn outside the graph, since drawing needs the index of the update on the host.
    """

    def __init__(
        self,
        problem: Problem,
        optimizer: Optimizer,
        give_up: Callable[[str], None] | None = None,
        make_graph: Callable[[torch.device], Graph] = CudaGraph,
    ) -> None:
        """Prepare without capturing.

        Args:
            problem: Problem of the active replicas.
            optimizer: Optimizer of the run; `is_capturable` must be true.
            give_up: Function that is called with the reason if capturing fails; later updates are then computed
                without a graph. None: a failure is an error.
            make_graph: Makes an empty graph for a device.
        """
        self._problem, self._optimizer, self._make_graph, self._give_up = problem, optimizer, make_graph, give_up
        self._replayed = Replayed(self._function, partial(make_graph, problem.engine.device))
        self._costs: dict[str, Tensor] = {}
        self.is_given_up = False

    def replicas(self, problem: Problem, optimizer: Optimizer) -> "CapturedUpdates":
        """Return an object for other replicas; it captures their updates again, since the shapes differ."""
        other = CapturedUpdates(problem, optimizer, self._give_up, self._make_graph)
        other.is_given_up = self.is_given_up
        return other

    def make(self, theta: Tensor, state: State, since: Tensor, index: int) -> Step | None:
        """Make an update.

        Args:
            theta: Parameters before the update, (k, P).
            state: Optimizer state before the update.
            since: `Divergence.since` before the update, (k,), int64.
            index: Index of the update, from 0.

        Returns:
            The result; None if updates cannot be captured.

        Raises:
            RuntimeError: Capturing failed, and `give_up` is None.
        """
        objective = self._problem.draw(index)(Stream.GRADIENT, self._optimizer.num_drawn_sequences)
        tensors = {
            "theta": theta,
            "since": since,
            # Filled on the device: a copy from the host would synchronize.
            "index": torch.full((), index, dtype=torch.int64, device=theta.device),
            **{STATE + name: tensor for name, tensor in state.items()},
            **{name: tensor for name, tensor in vars(objective.batch).items() if tensor is not None},
        }
        try:
            results = self._replayed(tensors)
        except RuntimeError as error:
            self.is_given_up = True
            # Buffers allocated during a capture have no values until it is replayed.
            self._problem.engine.drop_buffers()
            if self._give_up is None:
                raise
            reason = str(error).partition("\n")[0]
            self._give_up(f"updates are not captured as CUDA graphs from now on: {reason}")
            return None
        self.is_given_up = self._replayed.has_varied
        return Step(results["theta"], _state_in(results), results["since"], self._costs)

    def _function(self, tensors: Tensors) -> Tensors:
        """Compute theta, state and `since` after an update; this function is captured."""
        theta, state, index = tensors["theta"], _state_in(tensors), tensors["index"]
        batch = Batch(tensors["inputs"], tensors["lengths"], tensors.get("output_steps"), tensors["targets"])

        def draw(stream: Stream, batch_size: int) -> Objective:
            assert (stream, batch_size) == (Stream.GRADIENT, batch.size)
            return Objective(self._problem.engine, self._problem.loss, batch)

        update = self._optimizer.update(theta, state, index, draw)  # type: ignore[arg-type]  # it is capturable
        self._costs = costs_of(update)
        theta, state, since = freeze_diverged(theta, state, tensors["since"], update, index + 1)
        return {"theta": theta, "since": since, **{STATE + name: tensor for name, tensor in state.items()}}


def _state_in(tensors: Tensors) -> State:
    return {name.removeprefix(STATE): tensor for name, tensor in tensors.items() if name.startswith(STATE)}
