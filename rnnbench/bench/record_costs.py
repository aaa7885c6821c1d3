"""Costs of probes and records, measured separately, in seconds per logged update."""

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
from rnnbench.records.summary import CHECKPOINT
from rnnbench.records.writer import Records
from rnnbench.training.checkpoint import save_checkpoint
from rnnbench.training.observation import columns
from rnnbench.training.readings import NUM_PICTURED_REPLICAS, ScheduledProbe

READINGS, READING_SECONDS = 5, 1.0
"""Number of readings of each probe, whose median is reported, and time limit for all of them.

The first reading loads libraries and fills caches, so it is used only if it is the only one.
"""

ROWS = 20
"""Number of rows that are written to measure the time of one."""


@dataclass(frozen=True)
class ProbeCost:
    """Seconds of one probe.

    Attributes:
        every: The probe is read at every k-th logged update.
        picture_every: Its picture is drawn at every k-th logged update; 0: it has none.
        capture: Seconds of a reading on the training thread.
        read: Processor seconds of a reading on the probes' thread.
        draw: Processor seconds of the pictures of the first replicas on the probes' thread.
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
    """Measure the cost of each probe that is read.

    Args:
        run: Run whose update is probed.
        probes: The probes, by name.
        every: Number of logged updates between two readings of each probe; 0: it is never read.
        before: Parameters before the update, (R, P).
        update: The update.
    """
    view = view_of(run, before, update, 0)
    return {name: _probe_cost(probe, every[name], view) for name, probe in probes.items() if every[name] > 0}


def view_of(run: BareRun, before: Tensor, update: Update, num_logged: int) -> View:
    """Make the view of an update for the probes; the update also serves as its own predecessor, at the same cost."""
    previous = PreviousUpdate(before, update.gradient.gradient)
    model, task = run.problem.model, run.problem.task
    return View(model, task.num_steps, before, update, num_logged, previous=previous, dependency=task.dependency)


def _probe_cost(probe: Probe, every: int, view: View) -> ProbeCost:
    """Measure readings at an update with pictures."""
    readings = [_read_once(probe, view)]
    while len(readings) <= READINGS and sum(map(sum, readings)) < READING_SECONDS:
        readings.append(_read_once(probe, view))
    capture, read, draw = (Statistics.of(times).median for times in zip(*(readings[1:] or readings), strict=True))
    return ProbeCost(every, int(getattr(probe, "picture_every", 0)), capture, read, draw)


def _read_once(probe: Probe, view: View) -> tuple[float, float, float]:
    """Return seconds of the capture, and processor seconds of the reading and of the pictures, all in this thread."""
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
        row: Processor seconds of one row of all replicas, in metrics.csv and TensorBoard events.
        checkpoint: Seconds of a checkpoint, until it is on disk.
    """

    row: float
    checkpoint: float


def record_cost(run: BareRun, update: Update) -> RecordCost:
    """Measure the time of writing rows and a checkpoint of a run to a temporary folder.

    Raises:
        RecordError: A file cannot be written.
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
        save_checkpoint(Path(folder, CHECKPOINT), contents)
        checkpoint = time.perf_counter() - start
    return RecordCost(rows / ROWS, checkpoint)
