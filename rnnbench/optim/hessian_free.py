"""Hessian-free optimization (Martens 2010) for recurrent nets (Martens and Sutskever 2011).

Letters: R replicas, P parameters of one replica.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from rnnbench.metrics import Metric
from rnnbench.objective.objective import Objective
from rnnbench.optim.base import DrawObjective, State, Update
from rnnbench.optim.batches import Batches
from rnnbench.optim.hessian_free_metrics import METRICS
from rnnbench.optim.hessian_free_step import DAMPING_RULE, FRESH, HessianFreeStep
from rnnbench.tasks.base import Stream


@dataclass(frozen=True, eq=False, kw_only=True)
class HessianFree(HessianFreeStep):
    """Minimize, at each update, a damped quadratic model of the loss by conjugate gradients, on batches that it draws.

    Attributes: sizes of the batches, as in the configuration schema
    (`rnnbench.config.choices.hessian_free`); the other hyperparameters and the method are in `HessianFreeStep`.

    Source: Martens (2010), ICML; Martens and Sutskever (2011), ICML.
    """

    shown_metrics = ("hf/damping", "hf/cg_iterations")
    needs_products = True
    stalled_message = (
        "lambda has been at its upper limit for 10 updates, so the steps change nothing; try larger batches "
        "(optim.gradient_batch_size=8000), init=edge_of_chaos or smaller input weights (init.input_scale=0.03), "
        "shorter sequences first (task.first_length=50) or another seed"
    )

    gradient_batch_size: int
    curvature_batch_size: int

    @property
    @override
    def metrics(self) -> Sequence[Metric]:
        return METRICS

    @property
    @override
    def batch_sizes(self) -> Mapping[str, int]:
        return {"gradient_batch_size": self.gradient_batch_size, "curvature_batch_size": self.curvature_batch_size}

    @property
    @override
    def num_drawn_sequences(self) -> int:
        """All batches of one update together; the curvature's is a part of the gradient's."""
        num_fresh = (self._judging_batch in FRESH) + (self.line_search_batch in FRESH)
        return self.gradient_batch_size + num_fresh * self.curvature_batch_size

    @property
    def num_kept_sequences(self) -> int:
        """The curvature batch."""
        return self.curvature_batch_size

    @property
    def _judging_batch(self) -> str:
        """The batch of backtracking; without backtracking none is needed, so this is one that is already drawn."""
        return self.backtracking_batch if self.backtracking != "none" else "curvature"

    @override
    def is_stalled(self, update: Update) -> Tensor | None:
        assert update.damping is not None
        return update.damping >= DAMPING_RULE.highest

    @override
    def update(self, theta: Tensor, state: State, update: int, draw: DrawObjective) -> Update:
        objective = draw(Stream.GRADIENT, self.gradient_batch_size)
        batches = self._draw(draw, objective)
        computed = objective.loss_and_gradient(theta)
        step = self.step(theta, state, batches, computed.gradient)
        return Update(
            theta=step.theta,
            state=step.state,
            gradient=computed,
            clipped_gradient=computed.gradient,
            **step.cost,
            damping=step.metrics["hf/damping"],
            metrics=step.metrics,
        )

    def _draw(self, draw: DrawObjective, gradient: Objective) -> Batches:
        """Draw the other batches, given that of the gradient."""
        size = self.curvature_batch_size
        curvature = gradient.rows(0, size)
        drawn = {"gradient": gradient, "curvature": curvature}

        def choose(name: str, stream: Stream) -> Objective:
            return draw(stream, size) if name in FRESH else drawn[name]

        return Batches(
            gradient,
            curvature,
            choose(self._judging_batch, Stream.BACKTRACKING),
            choose(self.line_search_batch, Stream.LINE_SEARCH),
        )
