"""The penalty on vanishing gradients of Pascanu, Mikolov and Bengio (2013), for the simple recurrent net.

Letters: R replicas, P parameters of one replica, T time steps, B sequences, n hidden units.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

SMALLEST_SQUARED_NORM = 1e-20
"""Steps at which the state gradient's squared norm is smaller are left out; the authors' code has the same number."""


@dataclass(frozen=True)
class InformationFlow:
    """The penalty, as sums over the steps of all sequences, so that parts of a batch can be added.

    The penalty is the mean of (|g_t J_t|^2 / |g_t|^2 - 1)^2 over sequences and steps, with g_t the derivative of the
    loss with respect to the state h_t and J_t = dh_t/dh_{t-1}. It is zero if the gradient keeps its norm on its way
    back through time.

    Attributes:
        penalties: Sum of the penalties of single steps, (R,), float64.
        gradients: Sum of their gradients with respect to theta, (R, P).
        num_steps: Number of steps in the sums, (R,), float64.

    Source: Pascanu, Mikolov and Bengio (2013), ICML, equations 9 and 10. As in equation 10 and in the authors' code,
    the norms are squared, and the penalty is averaged over steps, not summed.
    """

    penalties: Tensor
    gradients: Tensor
    num_steps: Tensor

    @property
    def penalty(self) -> Tensor:
        """Mean penalty of a step, (R,), float64; 0 if every state gradient is too small."""
        return self.penalties / self.num_steps.clamp(min=1)

    @property
    def gradient(self) -> Tensor:
        """Gradient of the mean penalty, (R, P)."""
        return self.gradients / self.num_steps.clamp(min=1).to(self.gradients).unsqueeze(1)

    def map(self, function: Callable[[Tensor], Tensor]) -> "InformationFlow":
        """Apply a function to each of the sums."""
        return InformationFlow(function(self.penalties), function(self.gradients), function(self.num_steps))


def flow_of_steps(recurrent: Tensor, derivatives: Tensor, state_gradients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Penalties of all steps, and their immediate gradient: that with constant states and state gradients.

    Args:
        recurrent: W_hh, (R, n, n).
        derivatives: f'(a_t) of the steps 1 .. T, (T, R, B, n).
        state_gradients: dL/dh_t of the steps 1 .. T, (T, R, B, n).

    Returns:
        Sum of the penalties (R,), float64; the sum of their gradients with respect to W_hh, (R, n, n); and the number
        of steps that count, (R,), float64.
    """
    before = _rows(state_gradients * derivatives)  # dL/da_t, (R, T B, n)
    after = torch.bmm(before, recurrent)  # g_t J_t
    squares = _rows(state_gradients).square().sum(-1)
    counts = squares >= SMALLEST_SQUARED_NORM
    inverse = torch.where(counts, squares, 1).reciprocal()
    excess = torch.where(counts, after.square().sum(-1) * inverse - 1, 0)
    gradient = torch.bmm(before.mT, after * (4 * excess * inverse).unsqueeze(-1))
    return excess.double().square().sum(1), gradient, counts.sum(1).double()


def _rows(tensor: Tensor) -> Tensor:
    """A tensor (T, R, B, n) as rows of each replica, (R, T B, n)."""
    return tensor.movedim(1, 0).flatten(1, 2)
