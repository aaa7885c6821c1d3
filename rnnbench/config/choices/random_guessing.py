"""The keys of random weight guessing. Fields as in `rnnbench.config.schema`."""

from dataclasses import dataclass

from rnnbench.config.declaration import choice
from rnnbench.config.option import option
from rnnbench.config.schema import OptimizerConfig


@choice("optim", "random_guessing")
@dataclass
class RandomGuessingConfig(OptimizerConfig):
    """Random weight guessing."""

    batch_size: int = option(100, "sequences per update and replica, on which the guesses are compared", low=1)
    guesses: int = option(20, "guesses of an update, each of all weights", low=1)
    bound: float = option(1.0, "guessed weights are uniform in [-bound, bound)", above=0, per_replica=True)
