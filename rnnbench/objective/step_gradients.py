"""The gradient of the weights that every step uses, taken apart into what each step adds to it.

The same weights act at all steps t; were there a copy of them for each, the gradient would be the sum of the copies'
gradients, dL/dtheta = sum over t of (dstate_t/dtheta)^T dL/dstate_t, where dstate_t/dtheta holds state_{t-1} fixed.
Here these terms are found from the states and dL/dstate_t alone, which an update has already computed.

Letters: R replicas, P parameters of one replica, T time steps, b sequences, s size of the whole state, d inputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.models.base import Model

NUMBERS_AT_ONCE = 2**20
"""Numbers of the steps' gradients that are in memory at once."""


@dataclass(frozen=True)
class LagShares:
    """The gradient of the weights of the step, by lag from each sequence's own end, lag 0 first; float64.

    Attributes:
        whole: Its sum over all lags, (R, p): the part of the gradient of the parameters that `Model.step` takes.
        shares: (R, T): component of each lag's gradient along the whole over the whole's norm. They sum to 1; one below
            0 pulls against the rest.
        norms: Norm of each lag's gradient, (R, T).
    """

    whole: Tensor
    shares: Tensor
    norms: Tensor


@dataclass(frozen=True)
class StepGradients:
    """The gradients of the copies of the step's weights, if each step (of each sequence) had its own.

    Args:
        model: Has a `step`.
        theta: (R, P), where states and gradients were taken.
        states: Whole states 0 .. T, (T + 1, R, b, s).
        inputs: (T, R, b, d).
        state_gradients: dL/dstate_t of the loss whose gradient is wanted, t = 1 .. T, (T, R, b, s); 0 after a
            sequence's end.
        lengths: (R, b).
    """

    model: Model
    theta: Tensor
    states: Tensor
    inputs: Tensor
    state_gradients: Tensor
    lengths: Tensor

    def by_lag(self) -> LagShares:
        """What each lag from the sequences' own ends adds; lag 0 is the step after which a sequence ends.

        Raises:
            NotImplementedError: The model has no `step`.

        Cost: about two gradients of these sequences; more where P is large beside T b, since the gradient of every lag
        is made for itself. Memory: `NUMBERS_AT_ONCE` numbers beside what is given.
        """
        num_steps = len(self.inputs)
        lags = torch.arange(num_steps, device=self.theta.device)
        steps = self.lengths - 1 - lags.view(-1, 1, 1)  # (T, R, b): the 0-based step of each lag
        # Nothing is known of a sequence before its first step: its dL/dstate there is 0, whichever step stands for it.
        present, steps = steps >= 0, steps.clamp(min=0)
        whole = self._whole()
        squared = whole.square().sum(1)
        shares, norms = [], []
        for piece in self._pieces(steps, present):
            shares.append(torch.linalg.vecdot(piece, whole) / squared)
            norms.append(piece.norm(dim=2))
        return LagShares(whole, torch.cat(shares).T, torch.cat(norms).T)

    def _whole(self) -> Tensor:
        """The sum over all steps, (R, p): each replica's weights are shared by its steps as by its sequences."""

        def fold(sequence: Tensor) -> Tensor:
            return sequence.double().transpose(0, 1).flatten(1, 2)  # (R, T b, ...)

        return self._pull_back(self.theta, *map(fold, (self.states[:-1], self.inputs, self.state_gradients)))

    def by_step(self) -> Iterator[Tensor]:
        """What each step adds, some steps after the other, in order: (steps, R, p), float64."""
        num_steps, num_replicas, num_sequences, _ = self.inputs.shape
        steps = torch.arange(num_steps, device=self.theta.device).view(-1, 1, 1)
        steps = steps.expand(num_steps, num_replicas, num_sequences)
        return self._pieces(steps, steps < self.lengths)

    def _pieces(self, steps: Tensor, present: Tensor) -> Iterator[Tensor]:
        """Gradients of some lags each, (lags, R, p); `steps` (T, R, b) says which step is whose."""
        num_replicas, size = self.theta.shape
        at_once = max(1, NUMBERS_AT_ONCE // (num_replicas * size))
        for start in range(0, len(steps), at_once):
            yield self._piece(steps[start : start + at_once], present[start : start + at_once])

    def _piece(self, steps: Tensor, present: Tensor) -> Tensor:
        """As replicas of their own: a copy of the weights for each lag."""
        count, num_replicas = steps.shape[:2]

        def fold(sequence: Tensor) -> Tensor:
            taken = sequence.gather(0, steps.unsqueeze(-1).expand(-1, -1, -1, sequence.shape[-1]))
            return taken.double().flatten(0, 1)  # (lags R, b, ...)

        copies = self.theta.expand(count, -1, -1).flatten(0, 1)
        gradients = fold(self.state_gradients) * present.flatten(0, 1).unsqueeze(-1)
        return self._pull_back(copies, fold(self.states), fold(self.inputs), gradients).view(count, num_replicas, -1)

    def _pull_back(self, theta: Tensor, states: Tensor, inputs: Tensor, gradients: Tensor) -> Tensor:
        """Pull gradients after one step, (r, k, s), back to its weights, (r, p)."""
        named = self.model.parameters(theta.double())
        weights = {name: named[name].detach().requires_grad_() for name in self.model.step_parameters}
        with torch.enable_grad():
            after = torch.cat(self.model.step(weights, states.chunk(self.model.num_state_parts, -1), inputs), -1)
        pieces = torch.autograd.grad(after, list(weights.values()), gradients)
        return torch.cat([piece.flatten(1) for piece in pieces], 1)
