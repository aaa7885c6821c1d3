"""Updates of a real run without its records, and a clock that tells where their time goes."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.curvature.engine import Engine
from rnnbench.curvature.gauss_newton import OWN_MATCHING, GaussNewton, Matching
from rnnbench.curvature.objective import Gradient, Objective
from rnnbench.losses import Loss
from rnnbench.optim.base import Optimizer, Update
from rnnbench.optim.hessian_free import HessianFree
from rnnbench.tasks.base import Batch, Stream
from rnnbench.training.problem import Problem, draw_parameters

if TYPE_CHECKING:
    from rnnbench.config.build import Built
    from rnnbench.config.schema import Config

MakeRun = Callable[[Sequence[str], int], "tuple[Config, Built]"]
"""Composes overrides as `rnnbench train` does, and builds that many replicas, which differ in their seeds."""

HF_RUN = ("optim=hf", "task.sequence_length=50")
"""Hessian-free by default settings, one replica."""

NAG_RUN = ("optim=nag", "task.sequence_length=50", "optim.batch_size=20", "model.hidden_size=50")
NAG_REPLICAS = 32

BATCHES, GRADIENT, LINEARIZE, PRODUCTS = "batches", "gradient", "linearize", "products"
VECTORS, BACKTRACKING, RATIO, LINE_SEARCH = "CG vectors", "backtracking", "reduction ratio", "line search"
REST = "optimizer itself"
PARTS = (BATCHES, GRADIENT, LINEARIZE, PRODUCTS, VECTORS, BACKTRACKING, RATIO, LINE_SEARCH, REST)
"""Parts of an update, in their order."""

_EVALUATIONS = {Stream.BACKTRACKING: BACKTRACKING, Stream.LINE_SEARCH: LINE_SEARCH}


class Clock:
    """Adds up seconds by part; what lies between two parts belongs to the gap that the first of them opens."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._last, self._gap = time.perf_counter(), REST

    def start(self) -> None:
        """An update begins."""
        self._last, self._gap = time.perf_counter(), REST

    def lap(self, name: str) -> None:
        """The time since the last call belongs to a part."""
        now = time.perf_counter()
        self.seconds[name] += now - self._last
        self._last = now

    def stop(self) -> None:
        """An update has ended."""
        self.lap(self._gap)

    @contextmanager
    def part(self, name: str, then: str | None = None) -> Iterator[None]:
        """The time inside belongs to a part; what follows it, if said, to the gap `then`."""
        self.lap(self._gap)
        yield
        self.lap(name)
        self._gap = then or self._gap


class TimedObjective(Objective):
    """An objective that tells a clock what it does."""

    def __init__(self, engine: Engine, loss: Loss, batch: Batch, clock: Clock, evaluation: str) -> None:
        """As `Objective`.

        Args:
            engine: Runs the sweeps.
            loss: Of one output.
            batch: The sequences.
            clock: Told the time.
            evaluation: The part that its losses belong to.
        """
        super().__init__(engine, loss, batch)
        self._clock, self._evaluation = clock, evaluation

    @override
    def rows(self, start: int, stop: int) -> "TimedObjective":
        batch = self.batch.rows(start, stop)
        return TimedObjective(self.engine, self.loss_function, batch, self._clock, self._evaluation)

    @override
    def loss(self, theta: Tensor) -> Tensor:
        with self._clock.part(self._evaluation):
            return super().loss(theta)

    @override
    def loss_and_gradient(self, theta: Tensor) -> Gradient:
        with self._clock.part(GRADIENT):
            return super().loss_and_gradient(theta)

    @override
    def linearize(
        self, theta: Tensor, structural_damping: Tensor | None = None, matching: Matching = OWN_MATCHING
    ) -> GaussNewton:
        with self._clock.part(LINEARIZE, then=VECTORS):
            return TimedGaussNewton(self, theta, structural_damping, matching, self._clock)


class TimedGaussNewton(GaussNewton):
    """A Gauss-Newton matrix that tells a clock when it multiplies."""

    def __init__(
        self,
        objective: Objective,
        theta: Tensor,
        structural_damping: Tensor | None,
        matching: Matching,
        clock: Clock,
    ) -> None:
        """As `GaussNewton`.

        Args:
            objective: Whose matrix it is.
            theta: (R, P).
            structural_damping: (R, 1).
            matching: Which structural-damping matrix.
            clock: Told the time.
        """
        super().__init__(objective, theta, structural_damping, matching)
        self._clock = clock

    @override
    def product(self, vector: Tensor, active: Sequence[bool] | None = None) -> Tensor:
        with self._clock.part(PRODUCTS):
            return super().product(vector, active)


class Session:
    """A run that makes updates when asked to.

    Attributes:
        config: Of its first replica.
        problem: Task and engine.
        optimizer: As built.
        theta: Parameters after the last update, (R, P).
    """

    def __init__(self, make_run: MakeRun, overrides: Sequence[str], num_replicas: int, threads: int) -> None:
        """Build the run and draw its parameters.

        Args:
            make_run: Builds it.
            overrides: Words of `rnnbench train`.
            num_replicas: R.
            threads: Worker threads of the engine.
        """
        self.config, built = make_run(overrides, num_replicas)
        self.probes = built.probes
        engine = Engine(built.model, threads, "cpu", getattr(torch, self.config.dtype))
        self.problem = Problem(built.task, engine, range(len(built.inits)))
        self.optimizer: Optimizer = built.optimizer
        self.theta = draw_parameters(built.model, built.inits, self.problem.seeds, engine)
        self._state, self._number = built.optimizer.initial_state(self.theta), 0

    def warm_up(self) -> None:
        """Make the buffers: an update that is forgotten, of two CG iterations where it has any."""
        optimizer = self.optimizer
        if isinstance(optimizer, HessianFree):
            optimizer = replace(optimizer, max_cg_iterations=2)
        optimizer.update(self.theta, self._state, self._number, self.problem.draw(self._number))

    def update(self, clock: Clock | None = None) -> Update:
        """Make one update."""
        number = self._number
        draw = self.problem.draw(number)

        def timed_draw(stream: Stream, batch_size: int) -> Objective:
            assert clock is not None
            with clock.part(BATCHES, then=REST):
                plain = draw(stream, batch_size)
                part = _EVALUATIONS.get(stream, RATIO)
                return TimedObjective(plain.engine, plain.loss_function, plain.batch, clock, part)

        if clock is not None:
            clock.start()
        update = self.optimizer.update(self.theta, self._state, number, draw if clock is None else timed_draw)
        if clock is not None:
            clock.stop()
        self.theta, self._state, self._number = update.theta, update.state, number + 1
        return update

    def close(self) -> None:
        """Stop the engine's workers."""
        self.problem.engine.close()
