"""Hessian-free optimization (Martens 2010) for recurrent nets (Martens and Sutskever 2011).

Letters: R replicas, P parameters of one replica.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.curvature.conjugate_gradient import CgResult, conjugate_gradient
from rnnbench.curvature.gauss_newton import GaussNewton
from rnnbench.curvature.objective import Objective
from rnnbench.metrics import Metric
from rnnbench.optim.base import DrawObjective, Optimizer, State, Update
from rnnbench.tasks.base import Stream

LOW_RATIO, HIGH_RATIO = 0.25, 0.75
"""The damping grows below the first reduction ratio and shrinks above the second (Martens 2010, section 4.1)."""


@dataclass(frozen=True, eq=False, kw_only=True)
class HessianFree(Optimizer):
    """Minimize, at each update, a damped quadratic model of the loss by conjugate gradients.

        q(d) = g^T d + d^T (G + lambda I + lambda mu S) d / 2

    g is the gradient, G the Gauss-Newton matrix, lambda the damping, S the structural-damping matrix and mu its weight.
    One update: CG from the decayed last solution; backtracking to an earlier iterate while that lowers the loss on
    other sequences; reduction ratio on the curvature batch, lambda times `damping_increase` below 1/4 and times
    `damping_decrease` above 3/4; line search on further sequences. When no step size lowers the loss the step is
    rejected: theta stays, and the next CG starts from zero.

    Attributes: hyperparameters as in the configuration schema; tensors are (R, 1), float64.

    Source: Martens (2010), ICML; Martens and Sutskever (2011), ICML.
    """

    metrics = (
        Metric(
            "hf/damping",
            "lambda of this update",
            "loss per squared unit of theta",
            "falls by orders of magnitude as the quadratic model gets good; rising at every update: the steps fail",
        ),
        Metric(
            "hf/cg_iterations",
            "conjugate-gradient iterations",
            "1",
            "grows as the damping falls; at max_cg_iterations most of the time is usual",
        ),
        Metric(
            "hf/cg_termination",
            "why they stopped: 0 limit, 1 relative progress, 2 residual, 3 no positive curvature, 4 not finite",
            "1",
            "0 or 1",
        ),
        Metric(
            "hf/cg_backtracked",
            "kept iterates given up because an earlier one had a lower loss on other sequences",
            "1",
            "0 to 3; many: the curvature batch is too small",
        ),
        Metric(
            "hf/reduction_ratio",
            "change of the loss on the curvature batch over the damped quadratic model's, before the line search",
            "1",
            "0.25 to 1.2; below 0 again and again: too small batches, or chaos",
        ),
        Metric(
            "hf/predicted_reduction", "fall of the loss that the damped quadratic model predicts", "loss", "above 0"
        ),
        Metric("hf/actual_reduction", "fall of the loss on the curvature batch", "loss", "above 0"),
        Metric(
            "hf/step_size",
            "factor of the step that the line search accepted; 0: rejected",
            "1",
            "1; 0 now and then on a plateau",
        ),
    )
    shown_metrics = ("hf/damping", "hf/cg_iterations")
    bytes_per_parameter = 400  # about 20 kept iterates in float64, and the vectors of CG and backtracking

    gradient_batch_size: int
    curvature_batch_size: int
    curvature_source: str
    backtracking_batch_size: int
    line_search_batch_size: int
    damping: Tensor
    damping_increase: Tensor
    damping_decrease: Tensor
    min_damping: Tensor
    max_damping: Tensor
    structural_damping: Tensor
    max_cg_iterations: int
    cg_tolerance: Tensor
    warm_start_decay: Tensor
    line_search_decrease: float
    max_line_search_steps: int

    @property
    def num_drawn_sequences(self) -> int:
        """The batches of one update together."""
        fresh = self.curvature_batch_size if self.curvature_source == "fresh" else 0
        return self.gradient_batch_size + fresh + self.backtracking_batch_size + self.line_search_batch_size

    @property
    def num_kept_sequences(self) -> int:
        """The curvature batch."""
        return self.curvature_batch_size

    @override
    def initial_state(self, theta: Tensor) -> State:
        return {"damping": self.damping.to(theta.device), "solution": torch.zeros_like(theta)}

    @override
    def update(self, theta: Tensor, state: State, update: int, draw: DrawObjective) -> Update:
        objective = draw(Stream.GRADIENT, self.gradient_batch_size)
        gradient = objective.loss_and_gradient(theta)
        curvature_objective = self._curvature_objective(objective, draw)
        damping = state["damping"]
        curvature = curvature_objective.linearize(theta, damping * self.structural_damping)
        solved = self._solve(curvature, gradient.gradient, damping, state["solution"])
        backtracking = draw(Stream.BACKTRACKING, self.backtracking_batch_size)
        step, predicted, num_backtracked = backtrack(backtracking, theta, solved)
        actual = curvature_objective.loss(theta + step) - curvature.loss
        ratio = actual / predicted
        line_search = draw(Stream.LINE_SEARCH, self.line_search_batch_size)
        step_size = self._line_search(line_search, theta, step)
        accepted = step_size > 0
        next_state = {
            "damping": self._next_damping(damping, ratio),
            "solution": torch.where(accepted.unsqueeze(1), solved.solution.to(theta.dtype), 0.0),
        }
        products = solved.num_iterations + 1
        return Update(
            theta=torch.where(accepted.unsqueeze(1), theta + step_size.unsqueeze(1).to(theta.dtype) * step, theta),
            state=next_state,
            gradient=gradient,
            clipped_gradient=gradient.gradient,
            products=products,
            sequences=self.gradient_batch_size + (products + 1) * self.curvature_batch_size,
            metrics={
                "hf/damping": damping.squeeze(1),
                "hf/cg_iterations": solved.num_iterations,
                "hf/cg_termination": solved.reasons,
                "hf/cg_backtracked": num_backtracked,
                "hf/reduction_ratio": ratio,
                "hf/predicted_reduction": -predicted,
                "hf/actual_reduction": -actual,
                "hf/step_size": step_size,
            },
        )

    def _curvature_objective(self, objective: Objective, draw: DrawObjective) -> Objective:
        if self.curvature_source == "subset":
            return objective.rows(0, self.curvature_batch_size)
        return draw(Stream.CURVATURE, self.curvature_batch_size)

    def _solve(self, curvature: GaussNewton, gradient: Tensor, damping: Tensor, last: Tensor) -> CgResult:
        """CG on the damped system from the decayed last solution."""
        scale = damping.to(gradient.dtype)

        def product(vector: Tensor, active: Sequence[bool]) -> Tensor:
            return curvature.product(vector, active).addcmul_(vector, scale)

        start = last * self.warm_start_decay.to(last.dtype)
        return conjugate_gradient(product, -gradient, start, self.max_cg_iterations, self.cg_tolerance.squeeze(1))

    def _next_damping(self, damping: Tensor, ratio: Tensor) -> Tensor:
        """Levenberg-Marquardt rule, (R, 1); a ratio that is not finite counts as low."""
        ratio = ratio.nan_to_num(nan=-1.0).unsqueeze(1)
        factor = torch.where(ratio < LOW_RATIO, self.damping_increase, 1.0)
        factor = torch.where(ratio > HIGH_RATIO, self.damping_decrease, factor)
        return torch.clamp(damping * factor, self.min_damping, self.max_damping)

    def _line_search(self, objective: Objective, theta: Tensor, step: Tensor) -> Tensor:
        """The first of 1, 0.8, 0.8^2, ... that lowers the loss, (R,), float64; 0 where none does."""
        before = objective.loss(theta)
        accepted = torch.zeros_like(before)
        for k in range(self.max_line_search_steps):
            size = self.line_search_decrease**k
            lower = objective.loss(theta + size * step) < before
            accepted = torch.where((accepted == 0) & lower, size, accepted)
            if bool((accepted > 0).all()):
                break
        return accepted


def backtrack(objective: Objective, theta: Tensor, solved: CgResult) -> tuple[Tensor, Tensor, Tensor]:
    """Walk back from the last CG iterate as long as that lowers the loss on other sequences.

    Returns:
        The chosen iterate (R, P) in theta's dtype, the quadratic's value there (R,), and how many kept iterates were
        given up (R,), float64.

    Source: Martens (2010), section 4.6.
    """
    last = solved.iterates[-1]
    step, quadratic = last.solution.to(theta.dtype), last.quadratic
    loss = objective.loss(theta + step).nan_to_num(nan=torch.inf)
    num_backtracked = torch.zeros_like(loss)
    walking = torch.ones_like(loss, dtype=torch.bool)
    for iterate in reversed(solved.iterates[:-1]):
        candidate = iterate.solution.to(theta.dtype)
        candidate_loss = objective.loss(theta + candidate).nan_to_num(nan=torch.inf)
        walking &= candidate_loss < loss
        if not bool(walking.any()):
            break
        step = torch.where(walking.unsqueeze(1), candidate, step)
        quadratic = torch.where(walking, iterate.quadratic, quadratic)
        loss = torch.where(walking, candidate_loss, loss)
        num_backtracked += walking
    return step, quadratic, num_backtracked
