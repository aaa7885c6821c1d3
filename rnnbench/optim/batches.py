"""The batches of a Hessian-free update, and what they cost.

Letters: R replicas.
"""

from dataclasses import dataclass

from torch import Tensor

from rnnbench.optim.quadratic_model import Penalized


@dataclass(frozen=True)
class Batches:
    """The batches of one update; several may be one and the same."""

    gradient: Penalized
    curvature: Penalized
    backtracking: Penalized
    line_search: Penalized

    def cost(
        self,
        products: Tensor,
        judged: Tensor,
        tried: Tensor,
        *,
        judges_quadratic: bool,
        has_preconditioner: bool,
        has_undamped_value: bool,
    ) -> dict[str, Tensor]:
        """Products, and sequences passed forward and backward, that each replica used for its own sake.

        Args:
            products: Of conjugate gradients, (R,), float64.
            judged: Iterates that backtracking looked at, (R,), float64.
            tried: Step sizes that the line search looked at, (R,), float64.
            judges_quadratic: Whether backtracking looks at a quadratic of its own batch in place of the loss.
            has_preconditioner: Whether squared gradients of the curvature batch were taken.
            has_undamped_value: Whether the quadratic was taken without its damping too.
        """
        curvature, judge = self.curvature.objective.size, self.backtracking.objective.size
        both = self.gradient.objective.size + curvature * (products + has_preconditioner)  # forward and backward
        # The states at theta, and the loss after the step.
        forward = both + curvature * (2 + has_undamped_value) + self.line_search.objective.size * (1 + tried)
        forward = forward + judge * (judged + 2 * judges_quadratic)
        backward = both + judge * (1 + judged) * judges_quadratic
        return {
            "products": products + judged * judges_quadratic,
            "sequences": backward + curvature,
            "forward_passes": forward,
            "backward_passes": backward,
        }
