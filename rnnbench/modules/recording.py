"""What is recorded of a recurrence during one call of the module that contains it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from rnnbench.modules.transitions import Trajectory


class Recording(ABC):
    """States of a recurrence in the graph of automatic differentiation, one set of tensors for each step.

    The tensors of a step stand for the state in all that follows it: the next step and the outputs. Their gradient is
    therefore dL/dstate_t. They are no function of each other: of an LSTM, dL/dc_t is at a fixed h_t.

    Args:
        name: Name of the recurrence, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def attach(self) -> Sequence[RemovableHandle]:
        """Record the next call of the module, until the handles are removed."""

    @abstractmethod
    def trajectory(self, loss: Tensor) -> Trajectory:
        """Return what was recorded, with the gradients of a loss.

        Raises:
            ValueError: There was no call, or more than one; the states are not finite; the loss does not depend on
                them.
        """

    def gradients(self, loss: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        """Return the gradients of a loss with respect to some states.

        Raises:
            ValueError: The loss depends on none of them.
        """
        if not loss.requires_grad:
            raise ValueError(f"the loss does not depend on {self.name} by operations that torch can differentiate")
        found = torch.autograd.grad(loss, states, allow_unused=True)
        if all(gradient is None for gradient in found):
            raise ValueError(f"the loss does not depend on the states of {self.name}")
        return [
            torch.zeros_like(state) if gradient is None else gradient
            for state, gradient in zip(states, found, strict=True)
        ]

    def check_states(self, states: Tensor) -> None:
        """Check that states (T + 1, B, s) are finite.

        Raises:
            ValueError: They are not.
        """
        bad = ~states.isfinite().all(-1)
        if bad.any():
            step, sequence = bad.nonzero()[0].tolist()
            when = f"after step {step}" if step else "before the first step"
            raise ValueError(
                f"the state of {self.name} is not finite {when} (sequence {sequence}): use smaller weights or inputs, "
                "or look at parameters from before the training diverged"
            )


def on_host(tensor: Tensor) -> Tensor:
    """Return a copy in float64, on the CPU."""
    return tensor.detach().to("cpu", torch.float64)
