"""Logging of metric rows; a separate thread adds the results of the probes."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from torch import Tensor

from rnnbench.metrics import Metric
from rnnbench.models.base import Model
from rnnbench.objective.engine import flush_denormals
from rnnbench.optim.base import Optimizer
from rnnbench.probes.base import View
from rnnbench.records.live_aggregate import LiveAggregate
from rnnbench.records.summary import Status
from rnnbench.records.writer import Records
from rnnbench.tasks.base import Task
from rnnbench.training.readings import Captured, Readings, ScheduledProbe
from rnnbench.training.transfer import BeginCopy, Transfer, copy_to_pinned

MAX_WAITING_ROWS = 4
"""Maximum number of pending rows. Beyond it, training waits for the probes, so that memory stays bounded."""

LOOP_METRICS = (
    Metric(
        "loss/train",
        "mean loss of the gradient batch at theta before the update (nag of form sutskever13: at its look-ahead point)",
        "loss",
        "falls; see loss/eval",
        overview=8,
    ),
    Metric(
        "loss/eval",
        "mean loss of 1000 held-out sequences, the same for all runs of a task, at theta after the update",
        "loss (squared error, or nats)",
        "a plateau at the loss of the constant predictor, then below it once the net has learned the dependency",
        overview=1,
    ),
    Metric(
        "error_rate/eval",
        "share of the 1000 held-out sequences that the task's criterion counts as wrong",
        "1",
        "solved: below the task's limit (0.01) at three consecutive evaluations, or at the last one of the budget, and "
        "on 10,000 further sequences",
        overview=3,
    ),
    Metric(
        "cost/sequences",
        "passes over one sequence so far (one forward and one backward sweep each), curvature products included",
        "sequences",
        "the machine-independent cost by which methods are compared",
    ),
    Metric("cost/products", "Gauss-Newton or Hessian products so far", "products", "0 for first-order methods"),
    Metric(
        "cost/forward_passes",
        "sequences passed forward through time by the optimizer so far: gradients, linearizations, the linearized "
        "sweep of each product, and every evaluation of the loss in backtracking, reduction ratio and line search",
        "sequences",
        "cost/sequences, and about a tenth more for HF",
        is_detail=True,
    ),
    Metric(
        "cost/backward_passes",
        "sequences passed backward by the optimizer so far: one for each gradient and Gauss-Newton product, two for "
        "each Hessian product",
        "sequences",
        "equal to cost/sequences for first-order methods",
        is_detail=True,
    ),
    Metric("time/seconds", "wall-clock time of training so far", "s", "-"),
)


@dataclass(frozen=True)
class OnDisk:
    """Lengths of the record files on disk at a checkpoint.

    Attributes:
        jobs: File name -> length in bytes, one mapping per replica.
        aggregate: The same, one mapping per cell of the live aggregate; None: the run has no live aggregate.
    """

    jobs: Sequence[Mapping[str, int]]
    aggregate: Sequence[Mapping[str, int]] | None


Save = Callable[[OnDisk], None]


class Observer:
    """Adds the results of the probes to each row of metrics and passes the row to the records.

    Rows reach the records in order. Only the probes' thread waits for numbers from a GPU, never the training thread.
    The columns of a probe that raises stay empty: see `rnnbench.training.readings`.

    Args:
        records: Writer of rows, histograms and pictures.
        probes: Probes with their schedules, by name.
        notify: Function that is called with a sentence when a probe fails.
        aggregate: Live aggregate that also receives every row; None: the run is not part of a sweep.
        begin_copy: Function that starts the copy of tensors from the device.

    Attributes:
        num_logged: Number of logged rows that follow an update. It schedules the probes and their pictures.
    """

    def __init__(
        self,
        records: Records,
        probes: Mapping[str, ScheduledProbe],
        notify: Callable[[str], None],
        aggregate: LiveAggregate | None = None,
        begin_copy: BeginCopy = copy_to_pinned,
    ) -> None:
        self._records, self._aggregate, self._begin_copy = records, aggregate, begin_copy
        self._readings = Readings(probes, notify, begin_copy)
        self._thread = ThreadPoolExecutor(1, "rnnbench-probes", initializer=flush_denormals)
        self._waiting: deque[Future[None]] = deque()
        self._error: Exception | None = None
        self.num_logged = 0

    def observe(
        self,
        update: int,
        replicas: Sequence[int],
        values: Mapping[str, Tensor],
        make_view: Callable[[int], View] | None,
    ) -> None:
        """Log one row for each of the given replicas.

        Args:
            update: Number of updates done.
            replicas: Indices of the k replicas that the rows belong to.
            values: The loop's own metrics, column -> values, (k,).
            make_view: Function from the number of rows logged before to the data for the probes; None: no probe is
                read.

        Raises:
            RecordError: An earlier row could not be written.
        """
        captured = None
        if make_view is not None:
            captured = self._readings.capture(make_view(self.num_logged), update, list(replicas))
            self.num_logged += 1
        numbers = Transfer(values, self._begin_copy)
        while len(self._waiting) >= MAX_WAITING_ROWS or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()
        self._submit(self._complete, update, list(replicas), numbers, captured)

    def _submit(self, work: Callable[..., None], *arguments: object) -> None:
        """Queue a call on the probes' thread."""
        self._waiting.append(self._thread.submit(self._do, work, *arguments))

    def _do(self, work: Callable[..., None], *arguments: object) -> None:
        """On the probes' thread: do nothing after an error, so that no checkpoint covers a lost row."""
        if self._error is not None:
            raise self._error
        try:
            work(*arguments)
        except Exception as error:
            self._error = error
            raise

    def _complete(self, update: int, replicas: list[int], numbers: Transfer, captured: Captured | None) -> None:
        """On the probes' thread: wait for the row's numbers, read the probes, then log the row."""
        row = numbers.read()
        if captured is not None:
            results = self._readings.read(captured)
            row |= results.scalars
            for k, tag, values in results.histograms:
                self._records.histogram(replicas[k], tag, update, values)
            for k, tag, png in results.pictures:
                self._records.picture(replicas[k], tag, update, png)
        self._records.log(update, row, replicas)
        if self._aggregate is not None:
            self._aggregate.row(row, replicas)

    def settle(self, update: int, statuses: Sequence[Status], solved: Sequence[bool]) -> None:
        """Report the status of all R replicas after an update, once its row is logged.

        Args:
            update: Number of updates done.
            statuses: Status of each replica.
            solved: Whether each replica has solved its task.
        """
        if self._aggregate is not None:
            self._submit(self._aggregate.settle, update, statuses, solved)

    def checkpoint(self, save: Save) -> None:
        """Save a checkpoint as soon as every row so far is on disk; training does not wait.

        Args:
            save: Function that saves the checkpoint; it is called on the records' thread.
        """
        self._submit(self._pass_on, save)

    def _pass_on(self, save: Save) -> None:
        """On the probes' thread: pass a checkpoint to the records, after all earlier rows."""
        lengths = None if self._aggregate is None else self._aggregate.lengths()
        self._records.checkpoint(lambda own: save(OnDisk(own, lengths)))

    def drain(self) -> None:
        """Wait until every row so far is on disk.

        Raises:
            RecordError: A row could not be written.
        """
        while self._waiting:
            self._waiting.popleft().result()
        self._records.sync()

    def broken(self) -> dict[int, str]:
        """Replicas whose records could not be written, with the error; each is returned once."""
        return self._records.broken()

    def __enter__(self) -> Self:
        """Return the observer."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Complete the pending rows, then stop the thread.

        Raises:
            RecordError: A row could not be written, and no other error is being raised.
        """
        self._thread.shutdown(wait=True)
        while error is None and self._waiting:
            self._waiting.popleft().result()


def columns(
    probes: Mapping[str, ScheduledProbe],
    optimizer: Optimizer,
    model: Model,
    task: Task,
    further: Sequence[Metric] = (),
) -> list[str]:
    """Return the columns of metrics.csv for a run; wall-clock time is last.

    Args:
        probes: Probes with their schedules, by name.
        optimizer: Optimizer of the run.
        model: Model of the run.
        task: Task of the run.
        further: Metrics of the loop that not every run has.
    """
    tags = [metric.tag for metric in LOOP_METRICS if not metric.tag.startswith("time/")]
    own = (*further, *task.evaluation_metrics, *optimizer.evaluation_metrics, *optimizer.metrics)
    tags += [metric.tag for metric in own]
    for scheduled in probes.values():
        if scheduled.every > 0:
            tags += scheduled.probe.columns(model, task)
    return [*tags, "time/seconds"]
