"""What a probe is: it copies a little of what an update computed, and turns it into numbers on another thread.

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


@dataclass(frozen=True)
class PreviousUpdate:
    """What is kept of the update before the one that is looked at.

    Attributes:
        theta: Parameters before it, (R, P).
        gradient: Its gradient, before clipping, (R, P).
    """

    theta: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class View:
    """What a probe may look at after an update.

    Attributes:
        model: The model.
        num_steps: T of the task's batches.
        theta: Parameters before the update, at which the gradient was taken, (R, P).
        update: The update.
        num_logged: How many updates were logged before this one; pictures are drawn at a multiple of it.
        is_training: False where the parameters of a checkpoint are looked at: there is a gradient, but no step was
            taken, so that there is nothing to say of it.
        previous: The update before this one, for probes that say that they read it; None: this is the first.
    """

    model: Model
    num_steps: int
    theta: Tensor
    update: Update
    num_logged: int
    is_training: bool = True
    previous: PreviousUpdate | None = None

    def replicas(self, rows: Tensor) -> "View":
        """What there is to look at of some replicas, by their rows, int64, on theta's device."""
        previous = self.previous
        return replace(
            self,
            theta=self.theta[rows],
            update=self.update.replicas(rows),
            previous=None if previous is None else PreviousUpdate(previous.theta[rows], previous.gradient[rows]),
        )

    def copied(self) -> tuple["View", CopiedTrace]:
        """The same, but that what is copied of states is kept; and what keeps it."""
        gradient = self.update.gradient
        kept = CopiedTrace(gradient.trace)
        return replace(self, update=replace(self.update, gradient=replace(gradient, trace=kept))), kept


Drawing = Callable[[int], bytes]
"""Draws the picture of one replica, by its row, as a PNG."""


def draw_quietly(draw: Drawing, row: int) -> bytes:
    """Draw a picture, whose numbers may be larger than axes can show, without numpy's warnings of it."""
    with np.errstate(all="ignore"):
        return draw(row)


@dataclass(frozen=True)
class Reading:
    """What a probe found.

    Attributes:
        scalars: By tag, (R,).
        histograms: By tag, (R, any number of values).
        pictures: By tag.
    """

    scalars: Mapping[str, Tensor] = field(default_factory=dict)
    histograms: Mapping[str, Tensor] = field(default_factory=dict)
    pictures: Mapping[str, Drawing] = field(default_factory=dict)


class Probe(ABC):
    """Base of every probe."""

    metrics: Sequence[Metric]
    """What its numbers mean."""

    reads_previous: ClassVar[bool] = False
    """Whether it reads `View.previous`, which is kept, in checkpoints too, only for probes that do."""

    needed: ClassVar[Sequence[str]] = ()
    """Methods that a model may lack and this probe calls: "state_jacobians", "step"."""

    def num_bytes(self, model: Model, num_steps: int, num_replicas: int) -> int:
        """Memory that one reading takes, about, beside what is copied; 0: next to nothing.

        Args:
            model: The model.
            num_steps: T of the task's batches.
            num_replicas: R.
        """
        return 0

    @abstractmethod
    def columns(self, model: Model, num_steps: int) -> list[str]:
        """Tags of all the scalars that it gives for a model and a task of T steps, in their order."""

    @abstractmethod
    def capture(self, view: View) -> Callable[[], Reading]:
        """Copy what is needed, on the training thread, and return the work to be done on the probes' thread.

        The work must not touch anything that the next update changes.
        """
