"""Random weight guessing, the baseline of Hochreiter and Schmidhuber (1997): no gradient is followed.

Letters: R replicas, P parameters of one replica, G guesses of one update, B sequences.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from rnnbench.optim.base import DrawObjective, Optimizer, State, Update
from rnnbench.tasks.base import Stream, uniform_vectors

KEY = "key"
"""Name in the state of the seeds of the guesses, (R,), int64; that of a replica is made from its first parameters."""

MULTIPLIER = 0x5851F42D4C957F2D
"""An odd number whose multiples spread the bits of the parameters."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RandomGuessing(Optimizer):
    """Guess all weights anew, and keep the guess that has the smallest loss on the batch, if it beats the weights kept.

    All parameters of a guess are uniform in [-bound, bound) and independent of the weights kept. Old and new weights
    are compared on the same fresh batch. The guesses depend on the initial parameters, on the update and on nothing
    else, so replicas that start alike guess alike.

    Every update also computes the gradient at the weights kept, for records and probes. Each guess counts as one pass
    over the batch.

    Attributes:
        batch_size: Sequences per update and replica, B.
        guesses: G.
        bound: (R, 1), largest absolute value of a guessed parameter.

    Source: Hochreiter and Schmidhuber (1997), Neural Computation 9, section 5, on problems that guessing solves;
    Schmidhuber and Hochreiter (1996), Guessing can outperform many long time lag algorithms.
    """

    batch_size: int
    guesses: int
    bound: Tensor

    @property
    @override
    def num_drawn_sequences(self) -> int:
        return self.batch_size

    @override
    def initial_state(self, theta: Tensor) -> State:
        bits = theta.double().contiguous().view(torch.int64)
        odd = 2 * torch.arange(theta.shape[1], device=theta.device) + 1
        mixed = ((bits ^ (bits >> 29)) * MULTIPLIER * odd).sum(1)  # wraps around
        return {KEY: mixed.bitwise_and(torch.iinfo(torch.int64).max)}

    @override
    def update(self, theta: Tensor, state: State, update: int, draw: DrawObjective) -> Update:
        objective = draw(Stream.GRADIENT, self.batch_size)
        gradient = objective.loss_and_gradient(theta)
        kept, least = theta, objective.loss(theta)
        for guess in self.draw(theta, state, update):
            loss = objective.loss(guess)
            is_better = loss < least  # a loss that is not a number is not
            kept, least = torch.where(is_better.unsqueeze(1), guess, kept), torch.where(is_better, loss, least)
        once = torch.full((len(theta),), float(self.batch_size), dtype=torch.float64)
        return Update(
            theta=kept,
            state=state,
            gradient=gradient,
            clipped_gradient=gradient.gradient,
            products=torch.zeros_like(once),
            sequences=(1 + self.guesses) * once,
            forward_passes=(2 + self.guesses) * once,
            backward_passes=once,
        )

    def draw(self, theta: Tensor, state: State, update: int) -> Tensor:
        """The guesses of an update, (G, R, P), in theta's dtype.

        Args:
            theta: Parameters, (R, P).
            state: State with the seeds of the guesses.
            update: Index of the update, from 0.
        """
        keys, size = state[KEY].tolist(), theta.shape[1]
        shares = uniform_vectors(keys, Stream.GUESSES, update, size, count=self.guesses, like=theta)
        return (self.cast_like(theta).bound * (2 * shares - 1)).contiguous()
