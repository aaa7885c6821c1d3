"""How an update of the active replicas is made: asked of the device operation by operation, or as a CUDA graph.

Letters: k active replicas of a run, P parameters of one replica.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from rnnbench.objective.objective import Objective
from rnnbench.optim.base import Optimizer, State, Update
from rnnbench.tasks.base import Batch, Stream
from rnnbench.training.counting import costs_of
from rnnbench.training.divergence import held
from rnnbench.training.graph import CudaGraph, Graph, Replayed, Tensors
from rnnbench.training.problem import Problem
from rnnbench.training.world import World

STATE = "state/"
"""Before the names of an optimizer's state, among the tensors of a graph."""


def obstacle_to_capture(
    device: torch.device, optimizer: Optimizer, world: World, *, keeps_previous: bool, looks_at_all: bool
) -> str | None:
    """Why updates cannot be captured as CUDA graphs, in words; None: they can.

    Args:
        device: Of the parameters.
        optimizer: Whose updates they are.
        world: The processes of the run.
        keeps_previous: Whether a probe compares successive updates, all of which have to be kept.
        looks_at_all: Whether every update has a row of metrics.
    """
    if device.type != "cuda":
        return f"device={device} has none"
    if not optimizer.is_capturable:
        return f"{type(optimizer).__name__} does not say that its updates are the same operations each time"
    if keeps_previous:
        return "a probe compares every update with the one before"
    if looks_at_all:
        return "every update has a row of metrics"
    if world.size > 1:
        return "several processes train the run together"
    return None


@dataclass(frozen=True)
class Step:
    """What an update came to.

    Attributes:
        theta: The parameters after it, (k, P); of a replica that has diverged, those before.
        state: The optimizer state after it, likewise.
        since: `rnnbench.training.divergence.Divergence.since` after it.
        costs: What it used up, from `costs_of`.
        update: The update itself; None: it was replayed, and nothing else of it is kept.
        evaluation: Of the parameters after it; None: it is not followed by one.
    """

    theta: Tensor
    state: State
    since: Tensor
    costs: Mapping[str, Tensor]
    update: Update | None = None
    evaluation: Mapping[str, Tensor] | None = None


class CapturedUpdates:
    """Makes the updates of some replicas at which nobody looks, by a CUDA graph.

    Batches are drawn outside of it, since the index of an update is a number of the program there.
    """

    def __init__(
        self,
        problem: Problem,
        optimizer: Optimizer,
        give_up: Callable[[str], None] | None = None,
        make_graph: Callable[[torch.device], Graph] = CudaGraph,
    ) -> None:
        """Nothing is captured yet.

        Args:
            problem: Of the replicas.
            optimizer: Theirs; it `is_capturable`.
            give_up: Told why where updates cannot be captured, which are then made as others are; None: it is an error.
            make_graph: Makes a graph that has captured nothing, of a device.
        """
        self._problem, self._optimizer, self._make_graph, self._give_up = problem, optimizer, make_graph, give_up
        self._replayed = Replayed(self._function, partial(make_graph, problem.engine.device))
        self._costs: dict[str, Tensor] = {}
        self.is_given_up = False

    def replicas(self, problem: Problem, optimizer: Optimizer) -> "CapturedUpdates":
        """The same for other replicas, whose sizes are captured anew."""
        other = CapturedUpdates(problem, optimizer, self._give_up, self._make_graph)
        other.is_given_up = self.is_given_up
        return other

    def make(self, theta: Tensor, state: State, since: Tensor, index: int) -> Step | None:
        """Make an update; None where updates are not captured after all.

        Args:
            theta: Before it, (k, P).
            state: Before it.
            since: Before it, (k,), int64.
            index: Of the update, from 0.

        Raises:
            RuntimeError: It cannot be captured, and nobody is there to be told.
        """
        objective = self._problem.draw(index)(Stream.GRADIENT, self._optimizer.num_drawn_sequences)
        tensors = {
            "theta": theta,
            "since": since,
            # Filled by the device: a number of the host's would be waited for.
            "index": torch.full((), index, dtype=torch.int64, device=theta.device),
            **{STATE + name: tensor for name, tensor in state.items()},
            **{name: tensor for name, tensor in vars(objective.batch).items() if tensor is not None},
        }
        try:
            made = self._replayed(tensors)
        except RuntimeError as error:
            self.is_given_up = True
            # Buffers that were made in a capture have no values before it is replayed.
            self._problem.engine.drop_buffers()
            if self._give_up is None:
                raise
            reason = str(error).partition("\n")[0]
            self._give_up(f"updates are not captured as CUDA graphs from now on: {reason}")
            return None
        self.is_given_up = self._replayed.has_varied
        return Step(made["theta"], _state_in(made), made["since"], self._costs)

    def _function(self, tensors: Tensors) -> Tensors:
        """Theta, state and since after an update, from these and all else that is new in it."""
        theta, state, index = tensors["theta"], _state_in(tensors), tensors["index"]
        batch = Batch(tensors["inputs"], tensors["lengths"], tensors.get("output_steps"), tensors["targets"])

        def draw(stream: Stream, batch_size: int) -> Objective:
            assert (stream, batch_size) == (Stream.GRADIENT, batch.size)
            return Objective(self._problem.engine, self._problem.loss, batch)

        update = self._optimizer.update(theta, state, index, draw)  # type: ignore[arg-type]  # it is capturable
        self._costs = costs_of(update)
        theta, state, since = held(theta, state, tensors["since"], update, index + 1)
        return {"theta": theta, "since": since, **{STATE + name: tensor for name, tensor in state.items()}}


def _state_in(tensors: Tensors) -> State:
    return {name.removeprefix(STATE): tensor for name, tensor in tensors.items() if name.startswith(STATE)}
