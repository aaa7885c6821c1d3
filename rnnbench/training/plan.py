"""When a run ends, and how often it records."""

from dataclasses import dataclass

from rnnbench.training.flossing import Flossing


@dataclass(frozen=True)
class TrainingPlan:
    """When a run ends and how often it records.

    Attributes:
        max_updates: Budget of updates.
        max_sequences: Budget of sequences of one replica; None: unlimited.
        max_seconds: Budget of wall-clock time; None: unlimited.
        log_every: Number of updates between metric rows.
        evaluate_every: Number of updates between evaluations.
        checkpoint_every: Number of updates between checkpoints.
        checkpoint_seconds: Maximum wall-clock time between checkpoints; None: no limit.
        stop_when_solved: Whether a replica ends when it is solved.
        flossing: Rounds of gradient flossing before and during training; None: there are none.
    """

    max_updates: int
    max_sequences: int | None
    max_seconds: float | None
    log_every: int
    evaluate_every: int
    checkpoint_every: int
    checkpoint_seconds: float | None
    stop_when_solved: bool
    flossing: Flossing | None = None

    def is_evaluated(self, update: int) -> bool:
        """Whether an evaluation follows an update, counted from 1."""
        return update % self.evaluate_every == 0 or update == self.max_updates

    def is_logged(self, update: int) -> bool:
        """Whether an update, counted from 1, has a metrics row."""
        return update % self.log_every == 0 or self.is_evaluated(update)

    def shares_used(self, updates: int, sequences: float, seconds: float) -> list[float]:
        """Return the share of each budget that a replica has used up."""
        amounts = ((updates, self.max_updates), (sequences, self.max_sequences), (seconds, self.max_seconds))
        return [amount / limit for amount, limit in amounts if limit is not None]

    def used_up(self, updates: int, sequences: float, seconds: float) -> str | None:
        """Return a message that names the budget that a replica has used up; None: no budget is used up."""
        if updates >= self.max_updates:
            return f"budget.updates={self.max_updates} is used up"
        if self.max_sequences is not None and sequences >= self.max_sequences:
            return f"budget.sequences={self.max_sequences} is used up"
        if self.max_seconds is not None and seconds >= self.max_seconds:
            return f"budget.minutes={self.max_seconds / 60:g} is used up"
        return None
