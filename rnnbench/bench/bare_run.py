"""The updates of a run, made one at a time and without records, so that they can be timed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch

from rnnbench.bench.clock import BACKTRACKING, BATCHES, LINE_SEARCH, RATIO, REST, Clock, TimedObjective
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.optim.base import DrawObjective, Optimizer, Update
from rnnbench.optim.hessian_free import HessianFree
from rnnbench.run.setup import RunSetup
from rnnbench.tasks.base import Stream
from rnnbench.training.problem import Problem, draw_parameters

_EVALUATIONS = {Stream.BACKTRACKING: BACKTRACKING, Stream.LINE_SEARCH: LINE_SEARCH}


class BareRun:
    """A run without records; each call of `update` makes one update.

    Attributes:
        config: Configuration of the first replica.
        problem: Task and engine.
        optimizer: The optimizer.
        probes: The probes, by name.
        theta: Parameters after the last update, (R, P).
    """

    def __init__(self, setup: RunSetup, seeds: Sequence[int], threads: int) -> None:
        """Draw the parameters.

        Args:
            setup: Objects of the run.
            seeds: Seed of each replica.
            threads: Number of worker threads of the engine.
        """
        built = setup.built
        self.config, self.probes = setup.config, built.probes
        engine = Engine(built.model, threads, setup.device, setup.dtype)
        self.problem = Problem(built.task, engine, seeds)
        self.optimizer: Optimizer = built.optimizer
        self.theta = draw_parameters(built.model, built.inits, self.problem.seeds, engine)
        self._state, self._number = built.optimizer.first_state(self.theta), 0
        self._gradient_objective: Objective | None = None

    def wait(self) -> None:
        """Wait until a GPU has done all queued work."""
        device = self.problem.engine.device
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def clock(self) -> Clock:
        """Make a clock for the updates of this run."""
        return Clock(self.wait)

    def warm_up(self) -> None:
        """Allocate the buffers by an update whose result is dropped; with at most two CG iterations."""
        optimizer = self.optimizer
        if isinstance(optimizer, HessianFree):
            optimizer = replace(optimizer, max_cg_iterations=2, max_cg_factor=1)
        optimizer.update(self.theta, self._state, self._number, self.problem.draw(self._number))

    def update(self, clock: Clock | None = None) -> Update:
        """Make one update; a clock, if given, measures its parts."""
        number = self._number
        draw = self.problem.draw(number)
        if clock is not None:
            clock.start()
            draw = partial(self._timed_draw, clock, draw)
        update = self.optimizer.update(self.theta, self._state, number, draw)
        if clock is not None:
            clock.stop()
        self.theta, self._state, self._number = update.theta, update.state, number + 1
        return update

    def _timed_draw(self, clock: Clock, draw: DrawObjective, stream: Stream, batch_size: int) -> Objective:
        with clock.part(BATCHES, then=REST):
            plain = draw(stream, batch_size)
            if stream is Stream.GRADIENT:
                self._gradient_objective = plain
            part = _EVALUATIONS.get(stream, RATIO)
            return TimedObjective(plain.engine, plain.loss_function, plain.batch, clock, part)

    def forward_seconds(self) -> float:
        """Measure the forward passes of the last gradient, as the loss of its batch."""
        assert self._gradient_objective is not None
        return self.seconds_of(partial(self._gradient_objective.loss, self.theta))

    def evaluation_seconds(self) -> float:
        """Measure an evaluation on the held-out sequences."""
        return self.seconds_of(partial(self.problem.evaluate, self.theta))

    def seconds_of(self, work: Callable[[], object]) -> float:
        """Measure the time of a call, until the device has finished."""
        self.wait()
        start = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - start

    def close(self) -> None:
        """Stop the engine's workers."""
        self.problem.engine.close()
