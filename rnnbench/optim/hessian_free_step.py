"""The arithmetic of a Hessian-free update on batches that are given.

Letters: R replicas, P parameters of one replica.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.objective.conjugate_gradient import CgResult, CgRules, conjugate_gradient
from rnnbench.objective.second_order import SecondOrderObjective
from rnnbench.optim.backtracking import CHOOSE, ChosenStep, last_iterate
from rnnbench.optim.base import Optimizer, State
from rnnbench.optim.batches import Batches
from rnnbench.optim.damping import DampingRule, finite_change, reduction_ratio
from rnnbench.optim.hessian_free_metrics import outcome_of
from rnnbench.optim.line_search import LineSearch, rounding
from rnnbench.optim.quadratic_model import Damping, Penalized, QuadraticModel

DAMPING_RULE = DampingRule()
"""How lambda adapts."""

CG_TOLERANCE = 5e-4
"""Relative progress of an iteration of conjugate gradients below which it stops."""

RESIDUAL_TOLERANCE = 1e-10
"""Norm of the residual below which the system counts as solved."""

LOW_DAMPING = 3e-3
"""Lambda below which conjugate gradients get more iterations.

They need about sqrt(largest eigenvalue / lambda) iterations to converge. Stopped long before, the step is restricted by
the limit of iterations and not by lambda, which then falls without any effect.
"""

KEEPS_EVERY = 10
"""Gap between the iterates that `best_iterate` compares, as in the released code of Martens and Sutskever (2011)."""

FRESH = ("fresh", "both")
"""Values of `backtracking_batch` and `line_search_batch` that need a batch of their own."""

PRECONDITIONER_EXPONENT = 0.75
"""Exponent of the diagonal preconditioner (Martens 2010, section 4.7)."""

SYNC_EVERY = 10
"""On a GPU: iterations of conjugate gradients between two reads of which replicas have stopped."""


@dataclass(frozen=True)
class Step:
    """One step of every replica.

    Attributes:
        theta: Parameters after the step, (R, P), a new tensor; a replica whose step was rejected keeps its row.
        state: The new optimizer state.
        cost: Costs by the names in `rnnbench.optim.base.Update`, each (R,).
        metrics: Numbers by the tags in `rnnbench.optim.hessian_free_metrics`, each (R,).
    """

    theta: Tensor
    state: State
    cost: Mapping[str, Tensor]
    metrics: Mapping[str, Tensor]


@dataclass(frozen=True, eq=False, kw_only=True)
class HessianFreeStep(Optimizer):
    """The hyperparameters of Hessian-free, without the sizes of its batches, and what they do.

        q(d) = g^T d + d^T (G + lambda I + lambda mu S) d / 2

    g is the gradient, G the Gauss-Newton matrix, lambda the damping, S the structural-damping matrix and mu its weight.
    One update: CG from the decayed last solution; backtracking to an iterate that is better on other sequences;
    adaptation of lambda to the reduction ratio on the curvature batch; line search on further sequences. If no step
    size lowers the loss, the step is rejected and theta is unchanged. If q is above 0 at the step, the last solution
    was too bad a start: lambda stays, and the next CG starts from zero.

    Attributes: hyperparameters as in the configuration schema (`rnnbench.config.choices.hessian_free`); tensors are
    (R, 1), float64.

    Source: Martens (2010), ICML; Martens and Sutskever (2011), ICML.
    """

    weight_decay: Tensor
    damping: Tensor
    reduction_ratio: str
    rejected_damping: str
    structural_damping: Tensor
    structural_normalization: str
    max_cg_iterations: int
    max_cg_factor: int
    preconditioner: str
    warm_start_decay: Tensor
    backtracking: str
    backtracking_batch: str
    line_search_batch: str
    line_search_sufficient_decrease: Tensor

    @cached_property
    @override
    def damps_states(self) -> bool:
        """Whether any replica uses structural damping; cached, since reading the tensor waits for the device."""
        return bool((self.structural_damping != 0).any())

    @property
    @override
    def bytes_per_parameter(self) -> int:
        kept = self._cg_rules(self.damping).kept_iterations()
        return 280 + 8 * len(kept)  # vectors of CG and backtracking, kept iterates

    @override
    def initial_state(self, theta: Tensor) -> State:
        return {
            "damping": self.damping.to(theta.device),
            "structural_damping": self.structural_damping.to(theta.device),
            "failures": torch.zeros(len(theta), dtype=torch.float64, device=theta.device),
            "solution": torch.zeros_like(theta),
        }

    def step(self, theta: Tensor, state: State, batches: Batches, gradient: Tensor) -> Step:
        """Make one step of every replica.

        Args:
            theta: (R, P); not changed.
            state: From `initial_state` or the last step; not changed.
            batches: The batches of this step.
            gradient: Gradient of the gradient batch at theta, without weight decay, (R, P).
        """
        own = self.cast_like(theta.new_empty(0, dtype=torch.float64))  # on theta's device, not of its dtype
        return own._step(theta, state, batches, gradient)

    def _step(self, theta: Tensor, state: State, batches: Batches, gradient: Tensor) -> Step:
        curvature, judge, searched = (
            Penalized(objective, self.weight_decay)
            for objective in (batches.curvature, batches.backtracking, batches.line_search)
        )
        gradient = Penalized(batches.gradient, self.weight_decay).gradient(theta, gradient)
        damping = self._damping(state)
        model = QuadraticModel(curvature, theta, gradient, damping)
        solved = self._solve(model, batches.curvature, theta, state)
        chosen = self._backtrack(judge, theta, solved)
        actual = finite_change(curvature.loss(theta + chosen.step) - model.loss)
        predicted = chosen.quadratic if self.reduction_ratio == "damped" else model.undamped_value(chosen.step)
        ratio, noise = reduction_ratio(actual, predicted), rounding(model.loss, theta.dtype)
        unknown = (actual.abs() <= noise) & (predicted.abs() <= noise)
        is_lost = chosen.quadratic > 0  # the start was so far off that CG could not make up for it
        slope = (gradient * chosen.step).sum(1, dtype=torch.float64)
        search = LineSearch(self.line_search_sufficient_decrease)
        step_size, tried = search(self._searched_loss(searched, curvature), theta, chosen.step, slope)
        accepted, size = step_size > 0, step_size.unsqueeze(1).to(theta.dtype)
        failed = ~accepted | ((ratio <= 0) & ~unknown)
        failures = torch.where(failed, state["failures"] + 1, 0.0)
        cost = batches.cost(
            solved.num_iterations + 1,
            chosen.num_judged,
            tried,
            searches_curvature=self.line_search_batch == "both",
            has_preconditioner=self.preconditioner == "diagonal",
            has_undamped_value=self.reduction_ratio == "undamped",
        )
        return Step(
            theta=torch.where(accepted.unsqueeze(1), torch.addcmul(theta, size, chosen.step), theta),
            state={
                "damping": self._next_damping(state["damping"], ratio, unknown | is_lost, accepted),
                "structural_damping": state["structural_damping"],
                "failures": failures,
                "solution": torch.where((accepted & ~is_lost).unsqueeze(1), solved.solution.to(theta.dtype), 0.0),
            },
            cost=cost,
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
            },
        )

    def _damping(self, state: State) -> Damping:
        structural = state["structural_damping"] * state["damping"] if self.damps_states else None
        return Damping(state["damping"], structural, self.structural_normalization)

    def _cg_rules(self, damping: Tensor) -> CgRules:
        """When conjugate gradients stop at these values of lambda, (R, 1)."""
        factor = (LOW_DAMPING / damping.squeeze(1)).sqrt().clamp(1, self.max_cg_factor)
        return CgRules(
            max_iterations=self.max_cg_iterations * self.max_cg_factor,
            limits=(self.max_cg_iterations * factor).round(),
            tolerance=torch.full_like(self.damping.squeeze(1), CG_TOLERANCE),
            residual_tolerance=torch.full_like(self.damping.squeeze(1), RESIDUAL_TOLERANCE),
            keep_every=KEEPS_EVERY if self.backtracking == "best" else None,
            sync_every=1 if self.damping.device.type == "cpu" else SYNC_EVERY,
        )

    def _solve(self, model: QuadraticModel, objective: SecondOrderObjective, theta: Tensor, state: State) -> CgResult:
        """CG on the damped system from the decayed last solution."""
        last, rules = state["solution"], self._cg_rules(state["damping"])
        start = last * self.warm_start_decay.to(last.dtype)
        preconditioner = None
        if self.preconditioner == "diagonal":
            fisher = objective.mean_squared_gradient(theta).double()
            preconditioner = (fisher + model.diagonal).pow(PRECONDITIONER_EXPONENT)
        return conjugate_gradient(model.product, -model.gradient, start, rules, preconditioner)

    def _backtrack(self, batch: Penalized, theta: Tensor, solved: CgResult) -> ChosenStep:
        if self.backtracking == "none":
            return last_iterate(solved, theta.dtype)
        return CHOOSE[self.backtracking](lambda step: batch.loss(theta + step), solved, theta.dtype)

    def _searched_loss(self, searched: Penalized, curvature: Penalized) -> Callable[[Tensor], Tensor]:
        """The loss that the line search lowers.

        A step that fits its curvature batch alone, or that makes the net chaotic, lowers the loss of a few fresh
        sequences by chance at one of many sizes; rarely that of both.
        """
        if self.line_search_batch != "both":
            return searched.loss
        own, other = searched.objective.size, curvature.objective.size
        return lambda theta: (own * searched.loss(theta) + other * curvature.loss(theta)) / (own + other)

    def _next_damping(self, damping: Tensor, ratio: Tensor, unknown: Tensor, accepted: Tensor) -> Tensor:
        raised = ~accepted if self.rejected_damping == "increase" else torch.zeros_like(accepted)
        return DAMPING_RULE(damping, ratio, unknown, raised)
