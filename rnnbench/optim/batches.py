"""The batches of a Hessian-free update, and the cost of the update.

Letters: R replicas.
"""

from dataclasses import dataclass

from torch import Tensor

from rnnbench.objective.second_order import SecondOrderObjective


@dataclass(frozen=True)
class Batches:
    """The batches of one update; several of them may be the same."""

    gradient: SecondOrderObjective
    curvature: SecondOrderObjective
    backtracking: SecondOrderObjective
    line_search: SecondOrderObjective

    def cost(
        self,
        products: Tensor,
        judged: Tensor,
        tried: Tensor,
        *,
        searches_curvature: bool,
        has_preconditioner: bool,
        has_undamped_value: bool,
    ) -> dict[str, Tensor]:
        """Products, and forward and backward passes, that each replica would have needed if trained alone.

        Args:
            products: Products of conjugate gradients, (R,), float64.
            judged: Iterates that backtracking evaluated, (R,), float64.
            tried: Step sizes that the line search evaluated, (R,), float64.
            searches_curvature: Whether the line search evaluates the curvature batch beside its own.
            has_preconditioner: Whether squared gradients of the curvature batch were computed.
            has_undamped_value: Whether the quadratic model was also evaluated without damping.
        """
        curvature = self.curvature.size
        searched = self.line_search.size + curvature * searches_curvature
        both = self.gradient.size + curvature * (products + has_preconditioner)  # forward and backward
        # The states at theta, and the loss after the step.
        forward = both + curvature * (2 + has_undamped_value) + searched * (1 + tried)
        return {
            "products": products,
            "sequences": both + curvature,
            "forward_passes": forward + self.backtracking.size * judged,
            "backward_passes": both,
        }
