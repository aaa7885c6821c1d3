"""A batch shared by several processes: each computes its own sequences, and the results are summed over all processes.

All processes have the same theta and get the same results, so that an optimizer does not notice.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor
from typing_extensions import override

from rnnbench.losses import Loss
from rnnbench.objective.engine import Engine
from rnnbench.objective.gauss_newton import GaussNewton
from rnnbench.objective.hessian import Hessian
from rnnbench.objective.objective import Gradient, Objective
from rnnbench.tasks.base import Batch

AddUp = Callable[[Tensor], Tensor]
"""The sum of a tensor over all processes; every process calls it, in the same order."""

DrawRows = Callable[[range], Batch]
"""The sequences of some rows of the whole batch."""

Share = Callable[[range], range]
"""Selects from some rows those of this process."""


class ShardedObjective(Objective):
    """The loss of a batch that several processes share: the mean over all of its sequences.

    Args:
        engine: Runs the sweeps.
        loss: Loss of one output.
        rows: Rows of the whole batch.
        draw_rows: Draws the sequences of some rows.
        share: Selects the rows of this process.
        add_up: Sums a tensor over all processes.
    """

    def __init__(
        self, engine: Engine, loss: Loss, rows: range, draw_rows: DrawRows, share: Share, add_up: AddUp
    ) -> None:
        super().__init__(engine, loss, draw_rows(share(rows)))
        self._rows, self._draw_rows, self._share, self.add_up = rows, draw_rows, share, add_up
        self.weight = self.size / len(rows)
        # Sums divided by these are this process's part of the mean over the whole batch.
        self.num_outputs = self.num_outputs * len(rows) // self.size
        self.size = len(rows)

    @override
    def rows(self, start: int, stop: int) -> Objective:
        # Divided again among the processes, since the first rows all belong to the first process.
        rows = self._rows[start:stop]
        return ShardedObjective(self.engine, self.loss_function, rows, self._draw_rows, self._share, self.add_up)

    @override
    def loss(self, theta: Tensor) -> Tensor:
        return self.add_up(super().loss(theta) * self.weight)

    @override
    def loss_and_gradient(self, theta: Tensor, *, with_flow: bool = False) -> Gradient:
        own = super().loss_and_gradient(theta, with_flow=with_flow)
        flow = None if own.flow is None else own.flow.map(self.add_up)
        return replace(own, loss=self.add_up(own.loss), gradient=self.add_up(own.gradient), flow=flow)

    @override
    def mean_squared_gradient(self, theta: Tensor) -> Tensor:
        return self.add_up(super().mean_squared_gradient(theta) * self.weight)

    @override
    def linearize(
        self, theta: Tensor, structural_damping: Tensor | None = None, normalization: str = "batch"
    ) -> GaussNewton:
        return ShardedGaussNewton(self, theta, structural_damping, normalization)

    @override
    def hessian(self, theta: Tensor) -> Hessian:
        return ShardedHessian(self, theta)


class ShardedGaussNewton(GaussNewton):
    """The Gauss-Newton matrix of a batch that several processes share."""

    def __init__(
        self, objective: ShardedObjective, theta: Tensor, structural_damping: Tensor | None, normalization: str
    ) -> None:
        super().__init__(objective, theta, structural_damping, normalization)
        self._add_up = objective.add_up
        self.loss = self._add_up(self.loss)

    @override
    def product(self, vector: Tensor, active: Sequence[bool] | None = None) -> Tensor:
        return self._add_up(super().product(vector, active))

    @override
    def quadratic_form(self, vector: Tensor) -> Tensor:
        return self._add_up(super().quadratic_form(vector))


class ShardedHessian(Hessian):
    """The Hessian of a batch that several processes share."""

    def __init__(self, objective: ShardedObjective, theta: Tensor) -> None:
        super().__init__(objective, theta)
        self._add_up = objective.add_up

    @override
    def product(self, vector: Tensor) -> Tensor:
        return self._add_up(super().product(vector))
