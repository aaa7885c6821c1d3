"""Hessian-free optimization (Martens 2010) for recurrent nets (Martens and Sutskever 2011).

Letters: R replicas, P parameters of one replica.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
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
        "lambda has been at its upper limit for 10 updates, so the steps change nothing; try a start that remembers "
        "(init=orthogonal init.spectral_radius=1.05 init.input_scale=0.03), shorter sequences first "
        "(task.first_length), another seed or larger batches (optim.gradient_batch_size=8000)"
    )

    gradient_batch_size: int
    curvature_batch_size: int
    batch_doubling_every: int
    max_batch_factor: int

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
        """All batches of one update together, at their largest size; the curvature's is a part of the gradient's."""
        num_fresh = (self._judging_batch in FRESH) + (self.line_search_batch in FRESH)
        return (self.gradient_batch_size + num_fresh * self.curvature_batch_size) * self._largest_factor

    @property
    def num_kept_sequences(self) -> int:
        """The curvature batch, at its largest size."""
        return self.curvature_batch_size * self._largest_factor

    @property
    def _judging_batch(self) -> str:
        """The batch of backtracking; without backtracking none is needed, so this is one that is already drawn."""
        return self.backtracking_batch if self.backtracking != "none" else "curvature"

    @property
    def _largest_factor(self) -> int:
        return self.max_batch_factor if self.batch_doubling_every else 1

    def _batch_factor(self, update: int) -> int:
        """Size of the batches relative to the first update; a power of 2, so that few sizes need buffers."""
        if not self.batch_doubling_every:
            return 1
        doublings = min(update // self.batch_doubling_every, self.max_batch_factor.bit_length() - 1)
        return int(2**doublings)

    @override
    def is_stalled(self, update: Update) -> Tensor | None:
        assert update.damping is not None
        return update.damping >= DAMPING_RULE.highest

    @override
    def update(self, theta: Tensor, state: State, update: int, draw: DrawObjective) -> Update:
        factor = self._batch_factor(update)
        objective = draw(Stream.GRADIENT, factor * self.gradient_batch_size)
        batches = self._draw(draw, factor, objective)
        computed = objective.loss_and_gradient(theta)
        step = self.step(theta, state, batches, computed.gradient)
        damping = step.metrics["hf/damping"]
        return Update(
            theta=step.theta,
            state=step.state,
            gradient=computed,
            clipped_gradient=computed.gradient,
            **step.cost,
            damping=damping,
            metrics={**step.metrics, "hf/batch_factor": torch.full_like(damping, factor)},
        )

    def _draw(self, draw: DrawObjective, factor: int, gradient: Objective) -> Batches:
        """Draw the other batches, given that of the gradient."""
        size = factor * self.curvature_batch_size
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
