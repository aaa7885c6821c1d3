"""Callbacks of the training loop in a run: progress on the terminal, messages, checkpoints."""

import logging
import math
from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from rnnbench.optim.base import Update
from rnnbench.records.terminal import Progress
from rnnbench.run.checkpoints import Checkpoints
from rnnbench.training.listener import RunListener
from rnnbench.training.state import TrainingState

logger = logging.getLogger(__name__)


class Messages:
    """Reports messages to the user, above the progress bar and in the log.

    Args:
        progress: The progress display.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __call__(self, text: str) -> None:
        """Report one line."""
        logger.warning(text)
        self._progress.message(text)


class RunCallbacks(RunListener):
    """Shows the progress of a run and saves its checkpoints.

    Args:
        progress: The progress display.
        message: Reports messages to the user.
        checkpoints: Saves the state of the run.
        shown_metrics: Tags of the optimizer's metrics that are shown with the progress.
    """

    def __init__(
        self, progress: Progress, message: Messages, checkpoints: Checkpoints, shown_metrics: Sequence[str]
    ) -> None:
        self._progress, self._message, self._checkpoints = progress, message, checkpoints
        self._shown_metrics = shown_metrics

    @override
    def on_update(self, training: TrainingState, update: Update | None) -> None:
        replicas = training.replicas
        used = [replica.sequences for replica in replicas]
        # The last replica ends the run.
        sequences = min((used[index] for index in training.running()), default=max(used))
        fields = {}
        if update is not None:
            fields = {
                tag.partition("/")[2].replace("_", " "): update.metrics[tag].median().item()
                for tag in self._shown_metrics
            }
        self._progress.show(
            training.update,
            loss=np.array(
                [math.inf if replica.status == "diverged" else replica.loss for replica in replicas], dtype=float
            ),
            error_rate=np.array([replica.error_rate for replica in replicas], dtype=float),
            num_solved=sum(replica.solved_at is not None for replica in replicas),
            shares=training.plan.shares_used(training.update, sequences, training.seconds),
            fields=fields,
        )

    @override
    def message(self, text: str) -> None:
        self._message(text)

    @override
    def checkpoint(self, training: TrainingState) -> None:
        self._checkpoints.save_active(training)

    @override
    def ended(self, training: TrainingState, replicas: Sequence[int]) -> None:
        self._checkpoints.save_ended(training, replicas)
