"""Training batches whose sequences are short at first and grow longer as the net learns."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from torch import Tensor

from rnnbench.metrics import Metric
from rnnbench.tasks.base import Task
from rnnbench.training.problem import Problem
from rnnbench.training.replica import Replica

GROWTH = 1.1
"""Factor of the length at each increase. With 1.25 a net sometimes loses what it knows of the shorter sequences."""

LEARNED = 0.03
"""The length increases after a batch whose loss is below this share of the loss of the constant predictor.

On problems with a class as answer about 1 % of the sequences are wrong then. With 0.1 the errors of one length add to
those of the next, and a net with three symbols to order often becomes chaotic on the way to 200 steps.

Where some outputs are unpredictable, their loss hides that of the answer, so the share of wrong sequences takes its
place.
"""

LENGTH_METRIC = Metric(
    "task/training_length",
    "sequence_length of this update's batches",
    "steps",
    "grows up to task.sequence_length; if it stays, the net does not learn this length",
)


@dataclass(frozen=True)
class Curriculum:
    """The lengths of the training batches of one replica; evaluations have the full length from the start.

    Attributes:
        first_length: Length of the first batches.
        full_length: Length of the task.
        make_task: Makes the task of a shorter length.
    """

    first_length: int
    full_length: int
    make_task: Callable[[int], Task]
    _shorter: dict[int, Problem] = field(default_factory=dict, init=False, repr=False)

    def length(self, replica: Replica) -> int:
        """Return the length of a replica's next batch."""
        return self.first_length if replica.length is None else replica.length

    def problem(self, full: Problem, replica: Replica) -> Problem:
        """Return the problem from which the next batch is drawn.

        Args:
            full: Problem of the full length, with this replica only.
            replica: Progress of the replica.
        """
        length = self.length(replica)
        if length == self.full_length:
            return full
        if length not in self._shorter:
            self._shorter.clear()
            self._shorter[length] = replace(full, task=self.make_task(length))
        return self._shorter[length]

    def advance(self, full: Problem, replica: Replica, loss: float, theta: Tensor | None) -> None:
        """Set the length of the next batch.

        Args:
            full: Problem of the full length, with this replica only.
            replica: Progress of the replica; its length is changed.
            loss: Loss of the last batch, before the update.
            theta: Parameters after an update that is evaluated, (1, P); None after others.
        """
        length = self.length(replica)
        if length == self.full_length:
            return
        problem = self.problem(full, replica)
        if not problem.task.has_unpredictable_outputs:
            share = loss / problem.task.baseline_loss
        elif theta is not None:
            share = float(problem.evaluate(theta)["error_rate/eval"]) / problem.task.baseline_error_rate
        else:
            return
        replica.length = self.next_length(length, share)

    def next_length(self, length: int, share: float) -> int:
        """Return the length of the next batch.

        Args:
            length: Length of the last batch.
            share: Its loss, or share of wrong sequences, divided by that of the constant predictor.
        """
        if share < LEARNED:
            return min(max(length + 1, int(GROWTH * length)), self.full_length)
        return length
