"""Reads the probes for all replicas of a run at once; an error in one replica does not affect the others.

Letters: k replicas that have a row of metrics.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from rnnbench.probes.base import Probe, Reading, View, draw_quietly
from rnnbench.training.transfer import BeginCopy, Transfer

NUM_PICTURED_REPLICAS = 2
"""Pictures and histograms are made for the first replicas of a run only."""

FINITE = "is_finite"

Failures = dict[int, Exception]
"""What a probe raised, by the row of the replica for which it did."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScheduledProbe:
    """A probe and how often it is read.

    Attributes:
        probe: The probe.
        every: Read at every k-th logged update; 0: never.
    """

    probe: Probe
    every: int


@dataclass(frozen=True)
class _Part:
    """One capture of a probe: of all replicas together, or of one where that fails.

    Attributes:
        name: Of the probe.
        rows: Of the replicas, among the k.
        read: Does the work.
    """

    name: str
    rows: Sequence[int]
    read: Callable[[], Reading]


@dataclass(frozen=True)
class Captured:
    """What was copied of an update for its row of metrics.

    Attributes:
        update: The update.
        replicas: The k replicas, by their number in the run.
        view: What the probes looked at; what they copied of states is kept in it.
        parts: What they will read.
        is_finite: Column `FINITE`: whether each of the k replicas has finite parameters and loss after the update.
    """

    update: int
    replicas: Sequence[int]
    view: View
    parts: list[_Part]
    is_finite: Transfer


@dataclass
class Results:
    """Results of the probes for k replicas.

    Attributes:
        scalars: By column, (k,); masked if there is no result.
        histograms: Row among the k, tag and values.
        pictures: Row among the k, tag and PNG.
    """

    scalars: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    histograms: list[tuple[int, str, NDArray[np.float64]]] = field(default_factory=list)
    pictures: list[tuple[int, str, bytes]] = field(default_factory=list)


class Readings:
    """Reads the probes of a run that are due, all replicas together.

    Where a probe raises, every replica is read by itself. One that is not finite any more has nothing to be read; of
    any other it is said once, with a traceback in the log, and from then on the probe is left out for that replica, as
    it is where the replica is trained alone. Pictures likewise.

    Args:
        probes: By name.
        notify: Called with a sentence when a probe fails.
        begin_copy: How a device is asked for numbers.
    """

    def __init__(
        self, probes: Mapping[str, ScheduledProbe], notify: Callable[[str], None], begin_copy: BeginCopy
    ) -> None:
        self._probes = {name: probe for name, probe in probes.items() if probe.every > 0}
        self._notify, self._begin_copy = notify, begin_copy
        self._left_out: dict[str, set[int]] = {}  # "probe NAME" or "picture TAG" -> replicas
        self._lock = threading.Lock()

    def capture(self, view: View, update: int, replicas: Sequence[int]) -> Captured:
        """Copy what the probes need that are due at an update, on the training thread.

        Args:
            view: Of k replicas.
            update: Updates done.
            replicas: Their numbers in the run.
        """
        view, kept = view.copied()
        is_finite = view.update.is_finite()
        captured = Captured(update, replicas, view, [], Transfer({FINITE: is_finite}, self._begin_copy))
        for name, scheduled in self._probes.items():
            if view.num_logged % scheduled.every == 0:
                failures: Failures = {}
                rows = [row for row in range(len(replicas)) if not self._is_left_out(f"probe {name}", replicas[row])]
                captured.parts.extend(self._capture(name, rows, captured, failures))
                failures = {row: error for row, error in failures.items() if bool(is_finite[row])}
                self._leave_out(f"probe {name}", captured, failures, rows)
        kept.let_go()
        return captured

    def _capture(self, name: str, rows: Sequence[int], captured: Captured, failures: Failures) -> Sequence[_Part]:
        """What a probe copies of some replicas, together or else each by itself."""
        view, probe = captured.view, self._probes[name].probe
        if not rows:
            return []
        if len(rows) < len(captured.replicas):
            view = view.replicas(torch.tensor(rows, device=view.theta.device))
        try:
            return [_Part(name, rows, probe.capture(view))]
        except Exception as error:
            if len(rows) == 1:
                failures[rows[0]] = error
                return []
        return [part for row in rows for part in self._capture(name, [row], captured, failures)]

    def read(self, captured: Captured) -> Results:
        """Let the probes work on what they copied, on their own thread."""
        is_finite, results = captured.is_finite.read()[FINITE] > 0, Results()
        said: dict[str, list[tuple[Sequence[int], NDArray[np.float64]]]] = {}
        undrawn: dict[str, Failures] = {}
        for part in captured.parts:
            failures: Failures = {}
            for rows, reading in self._read(part, captured, failures):
                for tag, values in Transfer(reading.scalars, self._begin_copy).read().items():
                    said.setdefault(tag, []).append((rows, values))
                shown = [(k, row) for k, row in enumerate(rows) if captured.replicas[row] < NUM_PICTURED_REPLICAS]
                for k, row in shown:
                    if is_finite[row]:
                        self._show(k, row, reading, captured, results, undrawn)
            failures = {row: error for row, error in failures.items() if is_finite[row]}
            self._leave_out(f"probe {part.name}", captured, failures, part.rows)
        for tag, errors in undrawn.items():
            self._leave_out(f"picture {tag}", captured, errors, range(len(captured.replicas)))
        results.scalars = {tag: _column(pieces, is_finite) for tag, pieces in said.items()}
        return results

    def _read(self, part: _Part, captured: Captured, failures: Failures) -> Sequence[tuple[Sequence[int], Reading]]:
        """A probe's reading of all replicas of a part, or else of each by itself."""
        try:
            return [(part.rows, part.read())]
        except Exception as error:
            if len(part.rows) == 1:
                failures[part.rows[0]] = error
                return []
        alone = [one for row in part.rows for one in self._capture(part.name, [row], captured, failures)]
        return [reading for one in alone for reading in self._read(one, captured, failures)]

    def _show(
        self,
        k: int,
        row: int,
        reading: Reading,
        captured: Captured,
        results: Results,
        undrawn: dict[str, Failures],
    ) -> None:
        """Add the histograms and pictures of the k-th replica of a reading."""
        results.histograms += [(row, tag, values[k].numpy()) for tag, values in reading.histograms.items()]
        for tag, draw in reading.pictures.items():
            if not self._is_left_out(f"picture {tag}", captured.replicas[row]):
                try:
                    results.pictures.append((row, tag, draw_quietly(draw, k)))
                except Exception as error:
                    undrawn.setdefault(tag, {})[row] = error

    def _is_left_out(self, what: str, replica: int) -> bool:
        return replica in self._left_out.get(what, ())

    def _leave_out(self, what: str, captured: Captured, failures: Failures, rows: Sequence[int]) -> None:
        """Leave something out for the replicas for which it failed, out of those it was wanted for, and say so once."""
        with self._lock:
            left_out = self._left_out.setdefault(what, set())
            # Rows of metrics that were waiting when it failed first fail again.
            new = {captured.replicas[row]: error for row, error in failures.items()}
            new = {replica: error for replica, error in new.items() if replica not in left_out}
            left_out.update(new)
        if not new:
            return
        error = next(iter(new.values()))
        numbers = ", ".join(map(str, new))
        whose = "" if len(new) == len(rows) else f" for replica{'s' if len(new) > 1 else ''} {numbers}"
        logger.error("%s failed%s at update %d", what, whose, captured.update, exc_info=error)
        self._notify(f"{what} failed{whose} at update {captured.update} and is left out from now on: {error}")


def _column(
    pieces: Sequence[tuple[Sequence[int], NDArray[np.float64]]], is_finite: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """One column of all k replicas, masked where nothing is said: NaN of a replica that is not finite says nothing."""
    rows, values = pieces[0]
    if len(rows) == len(is_finite) and is_finite.all():
        return values
    column = np.full(len(is_finite), np.nan)
    is_there = np.zeros(len(is_finite), dtype=bool)
    for rows, values in pieces:
        column[list(rows)], is_there[list(rows)] = values, True
    return np.ma.masked_array(column, ~is_there | (np.isnan(column) & ~is_finite))
