"""The probe interface: a probe copies some results of an update and computes its metrics from them on another thread.

Letters: R replicas, P parameters of one replica, T time steps, n hidden units, b traced sequences.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from torch import Tensor

from rnnbench.metrics import Metric
from rnnbench.models.base import Model
from rnnbench.objective.trace import CopiedTrace
from rnnbench.optim.base import Update
from rnnbench.tasks.base import Task


@dataclass(frozen=True)
class PreviousUpdate:
    """The update before the probed one.

    Attributes:
        theta: Parameters before that update, (R, P).
        gradient: Gradient of that update, before clipping, (R, P).
    """

    theta: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class View:
    """The data that a probe can read after an update.

    Attributes:
        model: The model.
        num_steps: T of the task's batches.
        theta: Parameters before the update, (R, P).
        update: The update.
        num_logged: Number of updates logged before this one; decides when pictures are drawn.
        is_training: False if a checkpoint is probed: there is a gradient, but no step was taken.
        previous: The update before this one, for probes that set `reads_previous`; None: this is the first.
        dependency: Lags of the steps that the task's answer depends on; see `rnnbench.tasks.base.Task`.
    """

    model: Model
    num_steps: int
    theta: Tensor
    update: Update
    num_logged: int
    is_training: bool = True
    previous: PreviousUpdate | None = None
    dependency: range | None = None

    def replicas(self, rows: Tensor) -> "View":
        """Return the view of some replicas; `rows` are their indices, int64, on theta's device."""
        previous = self.previous
        return replace(
            self,
            theta=self.theta[rows],
            update=self.update.replicas(rows),
            previous=None if previous is None else PreviousUpdate(previous.theta[rows], previous.gradient[rows]),
        )

    def copied(self) -> tuple["View", CopiedTrace]:
        """Return a view whose trace keeps a copy of every state that is read from it, and that trace."""
        gradient = self.update.gradient
        kept = CopiedTrace(gradient.trace)
        return replace(self, update=replace(self.update, gradient=replace(gradient, trace=kept))), kept


Drawing = Callable[[int], bytes]
"""Function from a replica's row to its picture, the bytes of a PNG file."""


def draw_quietly(draw: Drawing, row: int) -> bytes:
    """Draw a picture and suppress numpy's warnings about numbers that are too large for the axes."""
    with np.errstate(all="ignore"):
        return draw(row)


@dataclass(frozen=True)
class Reading:
    """The results of a probe.

    Attributes:
        scalars: Tag -> one number per replica, (R,).
        histograms: Tag -> values, (R, any number of values).
        pictures: Tag -> function that draws the picture of one replica.
    """

    scalars: Mapping[str, Tensor] = field(default_factory=dict)
    histograms: Mapping[str, Tensor] = field(default_factory=dict)
    pictures: Mapping[str, Drawing] = field(default_factory=dict)


class Probe(ABC):
    """Base class of all probes."""

    metrics: Sequence[Metric]
    """Descriptions of the probe's scalars."""

    reads_previous: ClassVar[bool] = False
    """Whether the probe reads `View.previous`. It is kept (also in checkpoints) only if a probe reads it."""

    needed: ClassVar[Sequence[str]] = ()
    """Methods of the model that this probe calls and not every model has: "state_jacobians", "step",
    "recurrent_weight"."""

    def num_bytes(self, model: Model, num_steps: int, num_replicas: int) -> int:
        """Return the approximate memory of one reading in bytes, without the copied data; 0: negligible.

        Args:
            model: The model.
            num_steps: T of the task's batches.
            num_replicas: R.
        """
        return 0

    def columns(self, model: Model, task: Task) -> list[str]:
        """Return the tags of all scalars for a model and a task, in the order of the columns.

        By default these are the tags of `metrics`. A probe overrides this if tags depend on the model or the task.
        """
        return [metric.tag for metric in self.metrics]

    @abstractmethod
    def capture(self, view: View) -> Callable[[], Reading]:
        """On the training thread: copy the needed data and return a function that computes the results.

        The probes' thread calls the function later. It must not read anything that the next update changes.
        """
