"""Adam."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from rnnbench.optim.base import State, UpdateIndex
from rnnbench.optim.first_order import FirstOrder


@dataclass(frozen=True, eq=False, kw_only=True)
class Adam(FirstOrder):
    """Steps by the ratio of two running means of the gradient, corrected for their start at zero.

    m' = b1 m + (1 - b1) g; v' = b2 v + (1 - b2) g^2; theta' = theta - lr m^ / (sqrt(v^) + eps), where
    m^ = m' / (1 - b1^t), v^ = v' / (1 - b2^t) at update t (from 1), and g is the gradient plus weight_decay theta.
    As torch.optim.Adam.

    Attributes:
        betas: (R, 2), decay rates b1 and b2 of both means, in [0, 1).
        eps: (R, 1), added to the denominator, > 0.

    Source: Kingma and Ba (2015), ICLR, algorithm 1.
    """

    is_capturable = True

    betas: Tensor
    eps: Tensor
    _gradient_weights: Tensor = field(init=False, repr=False)  # 1 - betas
    _log_betas: Tensor = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Derive in float64 what the cast to theta's dtype would spoil."""
        super().__post_init__()
        object.__setattr__(self, "_gradient_weights", 1 - self.betas)
        object.__setattr__(self, "_log_betas", self.betas.log())

    def initial_state(self, theta: Tensor) -> State:
        """Both running means at zero."""
        return {"mean": torch.zeros_like(theta), "mean_square": torch.zeros_like(theta)}

    def step(self, gradient: Tensor, theta: Tensor, state: State, update: UpdateIndex) -> tuple[Tensor, State]:
        """See `FirstOrder.step`."""
        own = self.cast_like(theta)
        if self.decays:
            gradient = torch.addcmul(gradient, own.weight_decay, theta)
        mean = torch.lerp(state["mean"], gradient, own._gradient_weights[:, :1])
        mean_square = (state["mean_square"] * own.betas[:, 1:]).addcmul_(
            gradient * own._gradient_weights[:, 1:], gradient
        )
        # expm1 keeps the digits of 1 - beta^t that float32 would lose where beta^t is near 1.
        corrections = -torch.expm1(own._log_betas * (update + 1))
        root = corrections[:, 1:].sqrt()
        # The root is moved out of sqrt(v^) + eps, which leaves only (R, 1) tensors to divide by it.
        denominator = mean_square.sqrt().add_(own.eps * root)
        step_size = own.lr * root / corrections[:, :1]
        return (mean / denominator).mul_(-step_size), {"mean": mean, "mean_square": mean_square}
