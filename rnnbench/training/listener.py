"""Callbacks of the training loop."""

from collections.abc import Sequence
from typing import Protocol

from rnnbench.optim.base import Update
from rnnbench.training.state import TrainingState


class RunListener(Protocol):
    """Callbacks for progress, messages and checkpoints."""

    def on_update(self, training: TrainingState, update: Update | None) -> None:
        """Called after each update, and once before the first.

        Args:
            training: State of the run.
            update: The update; None: there was none yet, or it was replayed as a CUDA graph.
        """

    def message(self, text: str) -> None:
        """Report something to the user."""

    def ended(self, training: TrainingState, replicas: Sequence[int]) -> None:
        """Called when replicas have ended: save them once all rows so far are on disk."""

    def checkpoint(self, training: TrainingState) -> None:
        """Save the active replicas once all rows so far are on disk."""
