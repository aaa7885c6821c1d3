"""When a run ends, and how often it records."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """When a run ends and how often it records.

    Attributes:
        max_updates: Budget of updates.
        max_sequences: Budget of sequences of one replica; None: none.
        max_seconds: Budget of wall-clock time; None: none.
        log_every: Updates between rows.
        evaluate_every: Updates between evaluations.
        checkpoint_every: Updates between checkpoints.
        checkpoint_seconds: Wall-clock time after which there is one, too; None: no matter how long updates take.
        stop_when_solved: Whether a replica ends when it is solved.
    """

    max_updates: int
    max_sequences: int | None
    max_seconds: float | None
    log_every: int
    evaluate_every: int
    checkpoint_every: int
    checkpoint_seconds: float | None
    stop_when_solved: bool

    def used_up(self, updates: int, sequences: float, seconds: float) -> str | None:
        """Which budget of a replica is used up, in words; None: none is."""
        if updates >= self.max_updates:
            return f"budget.updates={self.max_updates} is used up"
        if self.max_sequences is not None and sequences >= self.max_sequences:
            return f"budget.sequences={self.max_sequences} is used up"
        if self.max_seconds is not None and seconds >= self.max_seconds:
            return f"budget.minutes={self.max_seconds / 60:g} is used up"
        return None
