"""Reads the probes for all replicas of a run at once; an error in one replica does not affect the others.

Letters: k replicas that have a metrics row.
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
"""Errors that a probe raised, by the row of the replica."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScheduledProbe:
    """A probe and how often it is read.

    Attributes:
        probe: The probe.
        every: The probe is read at every k-th logged update; 0: never.
    """

    probe: Probe
    every: int


@dataclass(frozen=True)
class _Part:
    """One capture of a probe: of all replicas together, or of a single one after that failed.

    Attributes:
        name: Name of the probe.
        rows: Rows of the replicas, among the k.
        read: Function that computes the results.
    """

    name: str
    rows: Sequence[int]
    read: Callable[[], Reading]


@dataclass(frozen=True)
class Captured:
    """The data that the probes copied of an update.

    Attributes:
        update: Number of the update.
        replicas: Indices of the k replicas in the run.
        view: Data that the probes read; it keeps the states that they have copied.
        parts: One entry per capture of a probe.
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
        scalars: Column -> values, (k,); masked where there is no result.
        histograms: Tuples of row (among the k), tag and values.
        pictures: Tuples of row (among the k), tag and PNG.
    """

    scalars: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    histograms: list[tuple[int, str, NDArray[np.float64]]] = field(default_factory=list)
    pictures: list[tuple[int, str, bytes]] = field(default_factory=list)


class Readings:
    """Reads the probes that are due, for all replicas of a run together.

    If a probe raises, it is read for each replica separately, so that an error affects one replica only, exactly as if
    the replica were trained alone. Errors of a replica that is no longer finite are ignored. For any other replica the
    error is reported once, with a traceback in the log, and the probe is skipped for this replica from then on. The
    same holds for pictures.

    Args:
        probes: Probes with their schedules, by name.
        notify: Function that is called with a sentence when a probe fails.
        begin_copy: Function that starts the copy of tensors from the device.
    """

    def __init__(
        self, probes: Mapping[str, ScheduledProbe], notify: Callable[[str], None], begin_copy: BeginCopy
    ) -> None:
        self._probes = {name: probe for name, probe in probes.items() if probe.every > 0}
        self._notify, self._begin_copy = notify, begin_copy
        self._skipped: dict[str, set[int]] = {}  # "probe NAME" or "picture TAG" -> replicas
        self._lock = threading.Lock()

    def capture(self, view: View, update: int, replicas: Sequence[int]) -> Captured:
        """On the training thread: copy the data for the probes that are due at an update.

        Args:
            view: Data of k replicas.
            update: Number of updates done.
            replicas: Indices of these replicas in the run.
        """
        view, kept = view.copied()
        is_finite = view.update.is_finite()
        captured = Captured(update, replicas, view, [], Transfer({FINITE: is_finite}, self._begin_copy))
        for name, scheduled in self._probes.items():
            if view.num_logged % scheduled.every == 0:
                failures: Failures = {}
                rows = [row for row in range(len(replicas)) if not self._is_skipped(f"probe {name}", replicas[row])]
                captured.parts.extend(self._capture(name, rows, captured, failures))
                failures = {row: error for row, error in failures.items() if bool(is_finite[row])}
                self._skip(f"probe {name}", captured, failures, rows)
        kept.let_go()
        return captured

    def _capture(self, name: str, rows: Sequence[int], captured: Captured, failures: Failures) -> Sequence[_Part]:
        """Copy a probe's data for some replicas: together or, if that fails, for each separately."""
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
        """On the probes' thread: compute the results from the copied data."""
        is_finite, results = captured.is_finite.read()[FINITE] > 0, Results()
        pieces: dict[str, list[tuple[Sequence[int], NDArray[np.float64]]]] = {}
        undrawn: dict[str, Failures] = {}
        for part in captured.parts:
            failures: Failures = {}
            for rows, reading in self._read(part, captured, failures):
                for tag, values in Transfer(reading.scalars, self._begin_copy).read().items():
                    pieces.setdefault(tag, []).append((rows, values))
                shown = [(k, row) for k, row in enumerate(rows) if captured.replicas[row] < NUM_PICTURED_REPLICAS]
                for k, row in shown:
                    if is_finite[row]:
                        self._show(k, row, reading, captured, results, undrawn)
            failures = {row: error for row, error in failures.items() if is_finite[row]}
            self._skip(f"probe {part.name}", captured, failures, part.rows)
        for tag, errors in undrawn.items():
            self._skip(f"picture {tag}", captured, errors, range(len(captured.replicas)))
        results.scalars = {tag: _column(pieces, is_finite) for tag, pieces in pieces.items()}
        return results

    def _read(self, part: _Part, captured: Captured, failures: Failures) -> Sequence[tuple[Sequence[int], Reading]]:
        """Read a probe for all replicas of a part together or, if that fails, for each separately."""
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
            if not self._is_skipped(f"picture {tag}", captured.replicas[row]):
                try:
                    results.pictures.append((row, tag, draw_quietly(draw, k)))
                except Exception as error:
                    undrawn.setdefault(tag, {})[row] = error

    def _is_skipped(self, what: str, replica: int) -> bool:
        return replica in self._skipped.get(what, ())

    def _skip(self, what: str, captured: Captured, failures: Failures, rows: Sequence[int]) -> None:
        """Skip a probe or picture from now on for the replicas for which it failed, and report it once.

        Args:
            what: Name of the probe or picture.
            captured: Data of the update at which it failed.
            failures: Errors by row.
            rows: Rows of all replicas for which it was due.
        """
        with self._lock:
            skipped = self._skipped.setdefault(what, set())
            # Rows that were already pending at the first failure fail again.
            new = {captured.replicas[row]: error for row, error in failures.items()}
            new = {replica: error for replica, error in new.items() if replica not in skipped}
            skipped.update(new)
        if not new:
            return
        error = next(iter(new.values()))
        numbers = ", ".join(map(str, new))
        whose = "" if len(new) == len(rows) else f" for replica{'s' if len(new) > 1 else ''} {numbers}"
        logger.error("%s failed%s at update %d", what, whose, captured.update, exc_info=error)
        self._notify(f"{what} failed{whose} at update {captured.update} and is skipped from now on: {error}")


def _column(
    pieces: Sequence[tuple[Sequence[int], NDArray[np.float64]]], is_finite: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return one column of all k replicas; missing values, and NaN of a replica that is not finite, are masked."""
    rows, values = pieces[0]
    if len(rows) == len(is_finite) and is_finite.all():
        return values
    column = np.full(len(is_finite), np.nan)
    is_present = np.zeros(len(is_finite), dtype=bool)
    for rows, values in pieces:
        column[list(rows)], is_present[list(rows)] = values, True
    return np.ma.masked_array(column, ~is_present | (np.isnan(column) & ~is_finite))
