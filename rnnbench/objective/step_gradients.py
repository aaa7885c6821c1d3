"""The gradient of the recurrent weights as a sum of one term per time step.

The same weights act at all steps t. If each step had a copy of them, the gradient would be the sum of the gradients of
the copies, dL/dtheta = sum over t of (dstate_t/dtheta)^T dL/dstate_t, where dstate_t/dtheta holds state_{t-1} fixed.
These terms are computed from the states and dL/dstate_t alone, which an update has already computed.

Letters: R replicas, P parameters of one replica, T time steps, b sequences, s size of the whole state, d inputs.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.models.base import Model

NUMBERS_AT_ONCE = 2**20
"""Largest number of elements of the terms that are computed at once."""

NUMBERS_KEPT = 2**24
"""Largest number of elements of all terms for which they are kept in memory until their sum is known."""


@dataclass(frozen=True)
class LagShares:
    """The gradient of the weights of the step, by lag from each sequence's own end, lag 0 first; float64.

    Attributes:
        whole: Sum over all lags, (R, p): the gradient with respect to the weights of the step.
        shares: Component of each lag's gradient along `whole`, divided by the norm of `whole`, (R, T). They sum to 1; a
            negative share points against the whole.
        norms: Norm of each lag's gradient, (R, T).
    """

    whole: Tensor
    shares: Tensor
    norms: Tensor

    @classmethod
    def of(cls, whole: Tensor, pieces: Iterable[Tensor]) -> "LagShares":
        """Compare the gradient of each lag, in chunks of some lags, (lags, R, p), with their sum, (R, p)."""
        squared = whole.square().sum(1)
        shares, norms = [], []
        for piece in pieces:
            shares.append(torch.linalg.vecdot(piece, whole) / squared)
            norms.append(piece.norm(dim=2))
        return cls(whole, torch.cat(shares).T, torch.cat(norms).T)

    @classmethod
    def joined(cls, parts: Sequence["LagShares"]) -> "LagShares":
        """The gradient of several sets of weights together, such as those of the layers of a stacked net."""
        whole = torch.cat([part.whole for part in parts], 1)
        squared = torch.stack([part.whole.square().sum(1, keepdim=True) for part in parts])  # (parts, R, 1)
        shares = torch.stack([part.shares for part in parts])
        weighted = torch.where(squared > 0, shares * squared, 0.0).sum(0)  # weights without a gradient have no shares
        norms = torch.stack([part.norms for part in parts]).square().sum(0).sqrt()
        return cls(whole, weighted / squared.sum(0), norms)


@dataclass(frozen=True)
class StepGradients:
    """The gradients that the weights would have if each step of each sequence had its own copy of them.

    Args:
        model: A model that implements `step`.
        theta: Parameters at which states and gradients were computed, (R, P).
        states: Whole states 0 .. T, (T + 1, R, b, s).
        inputs: (T, R, b, d).
        state_gradients: dL/dstate_t of the loss L, t = 1 .. T, (T, R, b, s); 0 after the end of a sequence.
        lengths: (R, b).
        names: Names of the weights; None: all that `Model.step` uses.
    """

    model: Model
    theta: Tensor
    states: Tensor
    inputs: Tensor
    state_gradients: Tensor
    lengths: Tensor
    names: Sequence[str] | None = None

    def by_lag(self) -> LagShares:
        """The term of each lag, counted from the end of each sequence; lag 0 is the last step of a sequence.

        Raises:
            NotImplementedError: The model has no `step`.

        Cost: about one gradient of these sequences, or two if the terms of all lags have more than `NUMBERS_KEPT`
        numbers; more if P is large compared with T b, since each lag has a gradient of its own.
        """
        num_steps = len(self.inputs)
        lags = torch.arange(num_steps, device=self.theta.device)
        steps = self.lengths - 1 - lags.view(-1, 1, 1)  # (T, R, b): the 0-based step of each lag
        # Lags before the first step of a sequence get an arbitrary step and a gradient of 0.
        present, steps = steps >= 0, steps.clamp(min=0)
        pieces: Iterable[Tensor] = self._pieces(steps, present)
        if num_steps * self.theta.numel() > NUMBERS_KEPT:
            return LagShares.of(self._whole(), pieces)
        pieces = list(pieces)
        return LagShares.of(torch.stack([piece.sum(0) for piece in pieces]).sum(0), pieces)

    def _whole(self) -> Tensor:
        """The sum over all steps, (R, p): each replica's weights are shared by its steps as by its sequences."""

        def fold(sequence: Tensor) -> Tensor:
            return sequence.double().transpose(0, 1).flatten(1, 2)  # (R, T b, ...)

        return self._pull_back(self.theta, *map(fold, (self.states[:-1], self.inputs, self.state_gradients)))

    def by_step(self) -> Iterator[Tensor]:
        """The term of each step, in order, in chunks of some steps: (steps, R, p), float64."""
        num_steps, num_replicas, num_sequences, _ = self.inputs.shape
        steps = torch.arange(num_steps, device=self.theta.device).view(-1, 1, 1)
        steps = steps.expand(num_steps, num_replicas, num_sequences)
        return self._pieces(steps, steps < self.lengths)

    def _pieces(self, steps: Tensor, present: Tensor) -> Iterator[Tensor]:
        """Terms in chunks of some lags, (lags, R, p); `steps` (T, R, b) is the step of each lag and sequence."""
        num_replicas, size = self.theta.shape
        at_once = max(1, NUMBERS_AT_ONCE // (num_replicas * size))
        for start in range(0, len(steps), at_once):
            yield self._piece(steps[start : start + at_once], present[start : start + at_once])

    def _piece(self, steps: Tensor, present: Tensor) -> Tensor:
        """The terms of some lags, each computed as a replica with its own copy of the weights."""
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
        names = self.model.step_parameters if self.names is None else self.names
        weights = {name: named[name].detach().requires_grad_() for name in names}
        with torch.enable_grad():
            effective = self.model.effective_parameters({**named, **weights})
            after = torch.cat(self.model.step(effective, states.chunk(self.model.num_state_parts, -1), inputs), -1)
        pieces = torch.autograd.grad(after, list(weights.values()), gradients)
        return torch.cat([piece.flatten(1) for piece in pieces], 1)
