"""Line search along a step.

Letters: R replicas, P parameters of one replica.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LineSearch:
    """Accepts the first of the step sizes 1, d, d^2, ... that lowers the loss enough.

        loss(theta + size * step) < loss(theta) + sufficient_decrease * size * g^T step

    With a sufficient decrease of 0 any decrease is enough (released code of Martens and Sutskever 2011); with 1e-2 it
    is Armijo's rule as in the released code of Martens (2010). A full step that changes the loss by no more than
    rounding is accepted: it is too small to do harm.

    Attributes:
        sufficient_decrease: (R, 1), float64.
        decrease: d, between 0 and 1.
        max_steps: Largest number of step sizes to try.
    """

    sufficient_decrease: Tensor
    decrease: float = 0.8
    max_steps: int = 50

    def __call__(
        self, loss: Callable[[Tensor], Tensor], theta: Tensor, step: Tensor, slope: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Search along a step.

        Args:
            loss: theta (R, P) -> (R,), float64.
            theta: (R, P).
            step: (R, P).
            slope: g^T step, (R,), float64.

        Returns:
            Step size of each replica, 0 if none is accepted, and how many it tried; both (R,), float64.
        """
        before = loss(theta)
        wanted = self.sufficient_decrease.squeeze(1) * slope.clamp(max=0)
        accepted, tried = torch.zeros_like(before), torch.zeros_like(before)
        for k in range(self.max_steps):
            size = self.decrease**k
            after = loss(theta + size * step)
            tried += accepted == 0
            lower = after < before + size * wanted
            if k == 0:
                lower |= (after - before).abs() <= rounding(before, theta.dtype)
            accepted = torch.where((accepted == 0) & lower, size, accepted)
            if bool((accepted > 0).all()):
                break
        return accepted, tried


def rounding(loss: Tensor, dtype: torch.dtype) -> Tensor:
    """Bound on the rounding error of a loss (R,) if states and outputs have the dtype."""
    return torch.finfo(dtype).eps * loss.abs()
