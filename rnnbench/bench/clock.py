"""A clock that measures the parts of an update, and objectives that report to it."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor
from typing_extensions import override

from rnnbench.losses import Loss
from rnnbench.objective.engine import Engine
from rnnbench.objective.gauss_newton import GaussNewton
from rnnbench.objective.objective import Gradient, Objective
from rnnbench.tasks.base import Batch

BATCHES, GRADIENT, LINEARIZE, PRODUCTS = "batches", "gradient", "linearize", "products"
VECTORS, BACKTRACKING, RATIO, LINE_SEARCH = "CG vectors", "backtracking", "reduction ratio", "line search"
REST = "optimizer itself"


class Clock:
    """Sums up seconds by part; the time between two parts is added to the part that the earlier one names as the gap.

    Attributes:
        seconds: Seconds of each part so far.
    """

    def __init__(self, wait: Callable[[], None] = lambda: None) -> None:
        """Start at zero.

        Args:
            wait: Function that waits until the device has done all queued work.
        """
        self.seconds: dict[str, float] = defaultdict(float)
        self._wait = wait
        self._last, self._gap = time.perf_counter(), REST

    def start(self) -> None:
        """Start an update."""
        self._wait()
        self._last, self._gap = time.perf_counter(), REST

    def lap(self, name: str) -> None:
        """Add the time since the last call to a part."""
        self._wait()
        now = time.perf_counter()
        self.seconds[name] += now - self._last
        self._last = now

    def stop(self) -> None:
        """End an update."""
        self.lap(self._gap)

    @contextmanager
    def part(self, name: str, then: str | None = None) -> Iterator[None]:
        """Add the time inside to a part, and the time after it to the gap `then`; None: to the current gap."""
        self.lap(self._gap)
        yield
        self.lap(name)
        self._gap = then or self._gap


class TimedObjective(Objective):
    """An objective that reports its time to a clock."""

    def __init__(self, engine: Engine, loss: Loss, batch: Batch, clock: Clock, evaluation: str) -> None:
        """See `Objective`.

        Args:
            engine: Engine that runs the forward and backward passes.
            loss: Loss of one output.
            batch: The sequences.
            clock: The clock.
            evaluation: Part to which evaluations of the loss belong.
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
    def loss_and_gradient(self, theta: Tensor, *, with_flow: bool = False) -> Gradient:
        with self._clock.part(GRADIENT):
            return super().loss_and_gradient(theta, with_flow=with_flow)

    @override
    def linearize(
        self, theta: Tensor, structural_damping: Tensor | None = None, normalization: str = "batch"
    ) -> GaussNewton:
        with self._clock.part(LINEARIZE, then=VECTORS):
            return TimedGaussNewton(self, theta, structural_damping, normalization, self._clock)


class TimedGaussNewton(GaussNewton):
    """A Gauss-Newton matrix that reports the time of its products to a clock."""

    def __init__(
        self,
        objective: Objective,
        theta: Tensor,
        structural_damping: Tensor | None,
        normalization: str,
        clock: Clock,
    ) -> None:
        """See `GaussNewton`.

        Args:
            objective: Objective whose matrix it is.
            theta: Parameters, (R, P).
            structural_damping: Weight of the structural-damping matrix, (R, 1).
            normalization: Mean that the structural-damping matrix is.
            clock: The clock.
        """
        super().__init__(objective, theta, structural_damping, normalization)
        self._clock = clock

    @override
    def product(self, vector: Tensor, active: Sequence[bool] | None = None) -> Tensor:
        with self._clock.part(PRODUCTS):
            return super().product(vector, active)
