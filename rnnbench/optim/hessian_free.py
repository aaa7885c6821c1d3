"""Hessian-free optimization (Martens 2010) for recurrent nets (Martens and Sutskever 2011).

Letters: R replicas, P parameters of one replica.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.objective.conjugate_gradient import CgResult, CgRules, conjugate_gradient
from rnnbench.objective.gauss_newton import OWN_MATCHING, Matching
from rnnbench.objective.objective import Objective
from rnnbench.optim.backtracking import CHOOSE, ChosenStep, last_iterate
from rnnbench.optim.base import DrawObjective, Optimizer, State, Update
from rnnbench.optim.batches import Batches
from rnnbench.optim.damping import DampingRule, finite_change, reduction_ratio, weight_scales
from rnnbench.optim.hessian_free_metrics import METRICS, outcome_of
from rnnbench.optim.line_search import LineSearch, rounding
from rnnbench.optim.quadratic_model import Damping, Penalized, QuadraticModel
from rnnbench.tasks.base import Stream

STRUCTURAL_RANGE = 1000.0
"""mu, if it adapts to the reduction ratio, stays within this factor of its initial value."""

SYNC_EVERY = 10
"""On a GPU: iterations of conjugate gradients between two reads of which replicas have stopped."""


@dataclass(frozen=True, eq=False, kw_only=True)
class HessianFree(Optimizer):
    """Minimize, at each update, a damped quadratic model of the loss by conjugate gradients.

        q(d) = g^T d + d^T (G + lambda I + lambda mu S) d / 2

    g is the gradient, G the Gauss-Newton matrix, lambda the damping, S the structural-damping matrix and mu its weight.
    One update: CG from the decayed last solution; backtracking to an iterate that is better on other sequences;
    adaptation of lambda to the reduction ratio on the curvature batch; line search on further sequences. If no step
    size lowers the loss, the step is rejected and theta is unchanged.

    Attributes: hyperparameters as in the configuration schema (`rnnbench.config.choices.hessian_free`); tensors are
    (R, 1), float64.

    Source: Martens (2010), ICML; Martens and Sutskever (2011), ICML.
    """

    metrics = METRICS
    shown_metrics = ("hf/damping", "hf/cg_iterations")
    needs_products = True

    gradient_batch_size: int
    curvature_batch_size: int
    curvature_source: str
    backtracking_batch_size: int
    line_search_batch_size: int
    batch_doubling_every: int
    max_batch_factor: int
    weight_decay: Tensor
    damping: Tensor
    damping_increase: Tensor
    damping_decrease: Tensor
    low_reduction_ratio: Tensor
    high_reduction_ratio: Tensor
    reduction_ratio: str
    rejected_damping: str
    min_damping: Tensor
    max_damping: Tensor
    damping_scaling: str
    restart_after: int
    structural_damping: Tensor
    matching_distance: str
    structural_normalization: str
    structural_scaling: str
    structural_damping_factor: Tensor
    max_cg_iterations: int
    min_cg_iterations: int
    cg_tolerance: Tensor
    cg_window: int
    cg_residual_tolerance: Tensor
    cg_dtype: str
    preconditioner: str
    preconditioner_exponent: Tensor
    warm_start_decay: Tensor
    reset_warm_start: bool
    backtracking: str
    backtracking_batch: str
    backtracking_judge: str
    keep_iterates_every: int | None
    line_search_batch: str
    line_search_decrease: float
    max_line_search_steps: int
    line_search_sufficient_decrease: Tensor

    @cached_property
    def _has_structural(self) -> bool:
        """Whether any replica uses structural damping; cached, since reading the tensor waits for the device."""
        return bool((self.structural_damping != 0).any())

    @property
    def matching(self) -> Matching | None:
        """How structural damping measures changes of the hidden states; None: no replica uses it."""
        if not self._has_structural:
            return None
        return Matching(self.matching_distance, self.structural_normalization)

    @property
    @override
    def batch_sizes(self) -> Mapping[str, int]:
        sizes = {"gradient_batch_size": self.gradient_batch_size, "curvature_batch_size": self.curvature_batch_size}
        if self.backtracking != "none" and self.backtracking_batch == "fresh":
            sizes["backtracking_batch_size"] = self.backtracking_batch_size
        if self.line_search_batch == "fresh":
            sizes["line_search_batch_size"] = self.line_search_batch_size
        return sizes

    @property
    @override
    def num_drawn_sequences(self) -> int:
        """All batches of one update together, at their largest size."""
        shared = self.curvature_batch_size if self.curvature_source == "subset" else 0  # part of the gradient batch
        return (sum(self.batch_sizes.values()) - shared) * self._largest_factor

    @property
    def num_kept_sequences(self) -> int:
        """The curvature batch, at its largest size."""
        return self.curvature_batch_size * self._largest_factor

    @property
    @override
    def bytes_per_parameter(self) -> int:
        return 280 + 8 * len(self._cg_rules().kept_iterations())  # vectors of CG and backtracking, kept iterates

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
    def initial_state(self, theta: Tensor) -> State:
        return {
            "damping": self.damping.to(theta.device),
            "structural_damping": self.structural_damping.to(theta.device),
            "failures": torch.zeros(len(theta), dtype=torch.float64, device=theta.device),
            "solution": torch.zeros_like(theta),
        }

    @override
    def update(self, theta: Tensor, state: State, update: int, draw: DrawObjective) -> Update:
        own = self.cast_like(theta.new_empty(0, dtype=torch.float64))  # on theta's device, not of its dtype
        return own._update(theta, state, update, draw)

    def _update(self, theta: Tensor, state: State, update: int, draw: DrawObjective) -> Update:
        factor = self._batch_factor(update)
        batches = self._draw(draw, factor)
        computed = batches.gradient.objective.loss_and_gradient(theta)
        gradient = batches.gradient.gradient(theta, computed.gradient)
        damping = self._damping(theta, state, batches.curvature.objective)
        model = QuadraticModel(batches.curvature, theta, gradient, damping)
        solved = self._solve(model, batches.curvature.objective, theta, state["solution"])
        chosen = self._backtrack(batches.backtracking, theta, solved, damping)
        actual = finite_change(batches.curvature.loss(theta + chosen.step) - model.loss)
        predicted = chosen.quadratic if self.reduction_ratio == "damped" else model.undamped_value(chosen.step)
        ratio, noise = reduction_ratio(actual, predicted), rounding(model.loss, theta.dtype)
        unknown = (actual.abs() <= noise) & (predicted.abs() <= noise)
        slope = (gradient * chosen.step).sum(1, dtype=torch.float64)
        search = LineSearch(self.line_search_decrease, self.max_line_search_steps, self.line_search_sufficient_decrease)
        step_size, tried = search(batches.line_search.loss, theta, chosen.step, slope)
        accepted, size = step_size > 0, step_size.unsqueeze(1).to(theta.dtype)
        failed = ~accepted | ((ratio <= 0) & ~unknown)
        failures = torch.where(failed, state["failures"] + 1, 0.0)
        cost = batches.cost(
            solved.num_iterations + 1,
            chosen.num_judged,
            tried,
            judges_quadratic=self.backtracking != "none" and self.backtracking_judge == "quadratic",
            has_preconditioner=self.preconditioner == "diagonal",
            has_undamped_value=self.reduction_ratio == "undamped",
        )
        return Update(
            theta=torch.where(accepted.unsqueeze(1), torch.addcmul(theta, size, chosen.step), theta),
            state=self._next_state(state, solved.solution.to(theta.dtype), ratio, unknown, accepted, failures),
            gradient=computed,
            clipped_gradient=computed.gradient,
            **cost,
            damping=state["damping"].squeeze(1),
            metrics={
                "hf/damping": state["damping"].squeeze(1),
                "hf/structural_damping": state["structural_damping"].squeeze(1),
                "hf/cg_iterations": solved.num_iterations,
                "hf/cg_termination": solved.reasons,
                "hf/cg_backtracked": chosen.num_given_up,
                "hf/reduction_ratio": ratio,
                "hf/predicted_reduction": -predicted,
                "hf/actual_reduction": -actual,
                "hf/step_size": step_size,
                "hf/outcome": outcome_of(accepted, unknown, predicted),
                "hf/failures": failures,
                "hf/batch_factor": torch.full_like(ratio, factor),
            },
        )

    def _draw(self, draw: DrawObjective, factor: int) -> Batches:
        gradient = draw(Stream.GRADIENT, factor * self.gradient_batch_size)
        size = factor * self.curvature_batch_size
        curvature = gradient.rows(0, size) if self.curvature_source == "subset" else draw(Stream.CURVATURE, size)
        drawn = {"gradient": gradient, "curvature": curvature}

        def choose(name: str, stream: Stream, batch_size: int) -> Objective:
            return draw(stream, factor * batch_size) if name == "fresh" else drawn[name]

        # Without backtracking no batch is needed: use one that is already drawn.
        judging = self.backtracking_batch if self.backtracking != "none" else "curvature"
        objectives = (
            gradient,
            curvature,
            choose(judging, Stream.BACKTRACKING, self.backtracking_batch_size),
            choose(self.line_search_batch, Stream.LINE_SEARCH, self.line_search_batch_size),
        )
        return Batches(*(Penalized(objective, self.weight_decay) for objective in objectives))

    def _damping(self, theta: Tensor, state: State, objective: Objective) -> Damping:
        diagonal, structural = state["damping"], state["structural_damping"] if self._has_structural else None
        if structural is not None and self.structural_scaling == "damping":
            structural = structural * diagonal
        if self.damping_scaling == "weights":
            diagonal = diagonal * weight_scales(theta, objective.group_sizes)
        return Damping(diagonal, structural, self.matching or OWN_MATCHING)

    def _cg_rules(self) -> CgRules:
        return CgRules(
            max_iterations=self.max_cg_iterations,
            min_iterations=self.min_cg_iterations,
            tolerance=self.cg_tolerance.squeeze(1),
            window=self.cg_window,
            residual_tolerance=self.cg_residual_tolerance.squeeze(1),
            keep_every=self.keep_iterates_every,
            dtype=getattr(torch, self.cg_dtype),
            sync_every=1 if self.damping.device.type == "cpu" else SYNC_EVERY,
        )

    def _solve(self, model: QuadraticModel, objective: Objective, theta: Tensor, last: Tensor) -> CgResult:
        """CG on the damped system from the decayed last solution."""
        start = last * self.warm_start_decay.to(last.dtype)
        preconditioner = None
        if self.preconditioner == "diagonal":
            fisher = objective.mean_squared_gradient(theta).double()
            preconditioner = (fisher + model.diagonal).pow(self.preconditioner_exponent)
        return conjugate_gradient(model.product, -model.gradient, start, self._cg_rules(), preconditioner)

    def _backtrack(self, batch: Penalized, theta: Tensor, solved: CgResult, damping: Damping) -> ChosenStep:
        if self.backtracking == "none":
            return last_iterate(solved, theta.dtype)
        if self.backtracking_judge == "loss":

            def judge(step: Tensor) -> Tensor:
                return batch.loss(theta + step)

        else:
            gradient = batch.gradient(theta, batch.objective.loss_and_gradient(theta).gradient)
            judge = QuadraticModel(batch, theta, gradient, damping).value
        return CHOOSE[self.backtracking](judge, solved, theta.dtype)

    def _next_state(
        self, state: State, solution: Tensor, ratio: Tensor, unknown: Tensor, accepted: Tensor, failures: Tensor
    ) -> State:
        rule = DampingRule(
            self.low_reduction_ratio,
            self.high_reduction_ratio,
            self.damping_increase,
            self.damping_decrease,
            self.min_damping,
            self.max_damping,
        )
        raised = ~accepted if self.rejected_damping == "increase" else torch.zeros_like(accepted)
        factor = self.structural_damping_factor
        first = self.structural_damping
        low, high = first / STRUCTURAL_RANGE, first * STRUCTURAL_RANGE
        structural_rule = replace(rule, increase=factor, decrease=1 / factor, lowest=low, highest=high)
        restart = failures >= self.restart_after if self.restart_after else torch.zeros_like(accepted)
        forget = restart | ~accepted if self.reset_warm_start else restart
        again = restart.unsqueeze(1)
        damping = rule(state["damping"], ratio, unknown, raised)
        structural = structural_rule(state["structural_damping"], ratio, unknown, raised)
        return {
            "damping": torch.where(again, self.damping, damping),
            "structural_damping": torch.where(again, first, structural),
            "failures": torch.where(restart, 0.0, failures),
            "solution": torch.where(forget.unsqueeze(1), 0.0, solution),
        }
