"""What probes and records cost, each measured by itself: seconds of each logged update."""

import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from rnnbench.bench.bare_run import BareRun
from rnnbench.bench.timing import Statistics
from rnnbench.optim.base import Update
from rnnbench.probes.base import PreviousUpdate, Probe, View
from rnnbench.records.writer import Records
from rnnbench.training.checkpoint import save_checkpoint
from rnnbench.training.observation import columns
from rnnbench.training.readings import NUM_PICTURED_REPLICAS, ScheduledProbe

READINGS, READING_SECONDS = 5, 1.0
"""Readings of each probe, of which the median counts; fewer if they take longer than this together.

The first one loads libraries and makes what the others find, so it counts only if it is the only one.
"""

ROWS = 20
"""Rows that are written to measure the time of one."""


@dataclass(frozen=True)
class ProbeCost:
    """Seconds of one probe.

    Attributes:
        every: It is read at every k-th logged update.
        picture_every: Its picture is drawn at every k-th logged update; 0: it has none.
        capture: Seconds of a reading on the training thread.
        read: Processor seconds of a reading on the probes' thread.
        draw: Processor seconds of the pictures of the first replicas, likewise.
    """

    every: int
    picture_every: int
    capture: float
    read: float
    draw: float

    @property
    def captured(self) -> float:
        """Seconds on the training thread per logged update."""
        return self.capture / self.every

    @property
    def done(self) -> float:
        """Processor seconds on the probes' thread per logged update."""
        drawing = self.draw / math.lcm(self.every, self.picture_every) if self.picture_every else 0.0
        return self.read / self.every + drawing


def probe_costs(
    run: BareRun, probes: Mapping[str, Probe], every: Mapping[str, int], before: Tensor, update: Update
) -> dict[str, ProbeCost]:
    """The cost of each probe that is read.

    Args:
        run: The run that the probes look at.
        probes: The probes, by name.
        every: Logged updates between two readings of each; 0: it is never read.
        before: Parameters before an update, (R, P).
        update: That update.
    """
    view = view_of(run, before, update, 0)
    return {name: _probe_cost(probe, every[name], view) for name, probe in probes.items() if every[name] > 0}


def view_of(run: BareRun, before: Tensor, update: Update, num_logged: int) -> View:
    """What probes see of an update; they are read as if it were its own predecessor, which costs the same."""
    previous = PreviousUpdate(before, update.gradient.gradient)
    return View(run.problem.model, run.problem.task.num_steps, before, update, num_logged, previous=previous)


def _probe_cost(probe: Probe, every: int, view: View) -> ProbeCost:
    """Cost of readings at an update at which a picture is due."""
    readings = [_read_once(probe, view)]
    while len(readings) <= READINGS and sum(map(sum, readings)) < READING_SECONDS:
        readings.append(_read_once(probe, view))
    capture, read, draw = (Statistics.of(times).median for times in zip(*(readings[1:] or readings), strict=True))
    return ProbeCost(every, int(getattr(probe, "picture_every", 0)), capture, read, draw)


def _read_once(probe: Probe, view: View) -> tuple[float, float, float]:
    """Seconds of the copy, and processor seconds of the reading and of the pictures, both in this thread."""
    start = time.perf_counter()
    read = probe.capture(view)
    captured, start_read = time.perf_counter(), time.thread_time()
    reading = read()
    start_draw = time.thread_time()
    for draw in reading.pictures.values():
        for replica in range(min(NUM_PICTURED_REPLICAS, len(view.theta))):
            draw(replica)
    return captured - start, start_draw - start_read, time.thread_time() - start_draw


@dataclass(frozen=True)
class RecordCost:
    """Seconds on the records' thread.

    Attributes:
        row: Processor seconds of a row of all replicas, in metrics.csv and in TensorBoard's events.
        checkpoint: Seconds of a checkpoint, until it is on disk.
    """

    row: float
    checkpoint: float


def record_cost(run: BareRun, update: Update) -> RecordCost:
    """Write rows and a checkpoint of a run to a temporary folder, and measure them.

    Raises:
        RecordError: They cannot be written.
    """
    replicas = len(run.theta)
    scheduled = {name: ScheduledProbe(probe, run.config.probe[name].every) for name, probe in run.probes.items()}
    names = columns(scheduled, run.optimizer, run.problem.model, run.problem.task)
    row = {name: np.full(replicas, 0.1) for name in names}
    contents = {"theta": update.theta.cpu(), "state": {name: value.cpu() for name, value in update.state.items()}}
    with tempfile.TemporaryDirectory() as folder:
        folders = [Path(folder, str(replica)) for replica in range(replicas)]
        for own in folders:
            own.mkdir()
        with Records(folders, names) as records:
            start = time.process_time()
            for number in range(ROWS):
                records.log(number, row)
            records.sync()
            rows = time.process_time() - start
        start = time.perf_counter()
        save_checkpoint(Path(folder, "checkpoint.pt"), contents)
        checkpoint = time.perf_counter() - start
    return RecordCost(rows / ROWS, checkpoint)
