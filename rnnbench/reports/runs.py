"""Reads runs from their folders; folders that cannot be read are listed as problems and do not stop a report."""

import math
import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from rnnbench.records.errors import RecordError
from rnnbench.records.identity import run_identity
from rnnbench.records.messages import printable
from rnnbench.records.metrics_csv import read_metrics
from rnnbench.records.summary import Status, Summary, read_summary
from rnnbench.reports.fields import SCHEDULE, SEED, SWEEP, Fields, flatten
from rnnbench.reports.finding import Job, Problem
from rnnbench.reports.statistics import Array

Outcome = Literal["solved", "not solved", "diverged", "failed", "unfinished"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

Measure = Literal["updates", "sequences", "seconds"]
MEASURES: tuple[Measure, ...] = get_args(Measure)

MAX_POINTS = 400
"""Maximum number of evaluations that are kept per run."""

_OUTCOME_OF: Mapping[Status, Outcome] = {
    "running": "unfinished",
    "solved": "solved",
    "budget": "not solved",
    "diverged": "diverged",
    "interrupted": "unfinished",
    "failed": "failed",
}
_BUDGET = "budget."
_NOT_ARITHMETIC = (_BUDGET, SEED, SWEEP, "record.", "name", "device", "threads")
_COLUMNS = {"updates": "update", "sequences": "cost/sequences", "seconds": "time/seconds"}
_LOSS, _ERROR_RATE, _PRODUCTS = "loss/eval", "error_rate/eval", "cost/products"
_OF_AVERAGE = ("loss/average", "error_rate/average")


@dataclass(frozen=True)
class Curve:
    """The k evaluations of a run.

    Attributes:
        x: Measure of cost -> amount at each evaluation, (k,).
        loss: Loss at each evaluation, (k,); NaN is replaced by infinity.
        error_rate: Error rate at each evaluation, (k,).
    """

    x: Mapping[Measure, Array]
    loss: Array
    error_rate: Array


@dataclass(frozen=True)
class Run:
    """A run of a report.

    Attributes:
        folder: Run folder.
        summary: Summary of the run.
        fields: Configuration of the run, by dotted name.
        curve: Evaluations of the run; None: they cannot be read.
        products_when_solved: Number of Gauss-Newton products until the run was solved; None: unknown.
        average: Loss and error rate of the average of the weights at the last evaluation; None: there is none.
    """

    folder: Path
    summary: Summary
    fields: Fields
    curve: Curve | None
    products_when_solved: float | None = None
    average: tuple[float, float] | None = None

    @cached_property
    def outcome(self) -> Outcome:
        """Outcome of the run; a solved run that continued counts as solved."""
        return "solved" if self.summary.solved_at is not None else _OUTCOME_OF[self.summary.status]

    @property
    def has_ended(self) -> bool:
        """Whether the run has a final result; a failed or interrupted run has none."""
        return self.outcome not in ("failed", "unfinished")

    @property
    def was_limited(self) -> bool:
        """Whether a larger budget would have changed the outcome."""
        return self.outcome in ("not solved", "unfinished")

    def time(self, measure: Measure) -> float:
        """Return the cost until the run was solved or, if it was not, until its end; infinite if it diverged."""
        at = self.summary.solved_at
        if at is not None:
            return float({"updates": at.update, "sequences": at.sequences, "seconds": at.seconds}[measure])
        return np.inf if self.outcome == "diverged" else self.end(measure)

    def end(self, measure: Measure) -> float:
        """Return the cost of the whole run."""
        return float(getattr(self.summary, measure))

    @cached_property
    def last_loss(self) -> float | None:
        """Loss at the last evaluation; infinite: the run diverged; None: it was not evaluated."""
        return np.inf if self.summary.status == "diverged" else self.summary.loss


def read_runs(folders: Sequence[Path], problems: list[Problem]) -> Iterator[Run]:
    """Read run folders one by one; folders that cannot be read are added to the problems."""
    for folder in folders:
        try:
            summary = read_summary(folder)
        except RecordError as error:
            problems.append(Problem(folder, _without_folder(error, folder)))
            continue
        curve, products, average = None, None, None
        try:
            metrics = read_metrics(folder)
            curve = curve_of(metrics)
            products = _products_when_solved(metrics, summary)
            average = _last_average(metrics)
        except RecordError as error:
            problems.append(Problem(folder, _without_folder(error, folder), "without curves"))
        yield Run(folder, _up_to_date(summary, curve), _fields(summary), curve, products, average)


def _fields(summary: Summary) -> Fields:
    """Return the fields of a run; a record without a schedule is that of a run with the constant one."""
    fields = flatten(summary.config)
    return {SCHEDULE: "constant", **fields} if fields else fields


def distinct(runs: Sequence[Run], repeats: list[tuple[Path, Path]]) -> list[Run]:
    """Return the runs without repeats, that is, runs with the same configuration and seed.

    Repeats come from copied folders or repeated commands. The run that got furthest is kept.

    Args:
        runs: Runs to choose from.
        repeats: List to which the folder of each dropped run is added, with the folder of the run that is kept.
    """
    alike: dict[Hashable, list[Run]] = {}
    for number, run in enumerate(runs):
        alike.setdefault(run_identity(run.fields) if SEED in run.fields else number, []).append(run)
    kept = []
    for same in alike.values():
        first = max(same, key=lambda run: (run.has_ended, run.summary.updates, run.curve is not None))
        repeats += [(run.folder, first.folder) for run in same if run is not first]
        kept.append(first)
    return kept


def with_sweeps(runs: Sequence[Run], jobs: Mapping[Path, Job]) -> list[Run]:
    """Add the fields `stage` and `trial` to the jobs of a tuning, and `sweep` if there is more than one sweep.

    Args:
        runs: Distinct runs.
        jobs: Folder of each job -> information of its sweep about it.
    """
    runs = [
        replace(run, fields={**run.fields, **jobs[run.folder].tuned})
        if run.folder in jobs and jobs[run.folder].tuned
        else run
        for run in runs
    ]
    sweeps = {jobs[run.folder].sweep for run in runs if run.folder in jobs}
    if len(sweeps) < 2:
        return runs
    lasts = [sweep.name for sweep in sweeps]
    names = {sweep: sweep.name if lasts.count(sweep.name) == 1 else str(sweep) for sweep in sweeps}
    return [
        replace(run, fields={**run.fields, SWEEP: printable(names[jobs[run.folder].sweep])})
        if run.folder in jobs
        else run
        for run in runs
    ]


def comparable_fields(runs: Sequence[Run], jobs: Mapping[Path, Job]) -> list[Fields]:
    """Return the fields of the runs, with one common budget if budgets differ only because some runs were resumed.

    A resumed sweep has its new budget for all jobs, including those that had already ended. Other runs that agree in
    all other fields are treated likewise: a run that did not use up its budget has the same outcome with a larger one.

    Args:
        runs: The runs.
        jobs: Folder of each job of a sweep -> information of the sweep about it.
    """
    comparable = [dict(run.fields) for run in runs]
    for run, own in zip(runs, comparable, strict=True):
        if run.folder in jobs:
            own |= jobs[run.folder].budget
    alike: dict[Hashable, list[int]] = {}
    for place, own in enumerate(comparable):
        alike.setdefault(tuple((name, own[name]) for name in own if not name.startswith(_NOT_ARITHMETIC)), []).append(
            place
        )
    for places in alike.values():
        budgets = [
            {name: value for name, value in comparable[place].items() if name.startswith(_BUDGET)} for place in places
        ]
        limiting = [
            budget for place, budget in zip(places, budgets, strict=True) if runs[place].was_limited
        ] or budgets[:1]
        if all(budget == limiting[0] for budget in limiting):
            for place in places:
                comparable[place] |= limiting[0]
    return list(comparable)


def curve_of(metrics: Mapping[str, Array]) -> Curve:
    """Extract the evaluations of a run; if there are more than `MAX_POINTS`, an evenly spaced subset.

    Args:
        metrics: Column of metrics.csv -> values, (rows,).

    Raises:
        RecordError: A column is missing.
    """
    for column in (*_COLUMNS.values(), _LOSS, _ERROR_RATE):
        if column not in metrics:
            raise RecordError(f"metrics.csv has no column {column}")
    loss, error_rate = metrics[_LOSS], metrics[_ERROR_RATE]
    amounts: dict[Measure, Array] = {measure: metrics[_COLUMNS[measure]] for measure in MEASURES}
    seen = ~np.isnan(loss) | ~np.isnan(error_rate)
    for amount in amounts.values():
        seen &= np.isfinite(amount)
    rows = np.flatnonzero(seen)
    if rows.size > MAX_POINTS:
        rows = rows[np.linspace(0, rows.size - 1, MAX_POINTS).round().astype(np.intp)]
    return Curve(
        {measure: amount[rows] for measure, amount in amounts.items()},
        np.where(np.isnan(loss[rows]), np.inf, loss[rows]),
        np.where(np.isnan(error_rate[rows]), 1.0, error_rate[rows]),
    )


def _products_when_solved(metrics: Mapping[str, Array], summary: Summary) -> float | None:
    """Return the number of Gauss-Newton products until a run was solved; None: it was not, or there is no row."""
    if summary.solved_at is None or _PRODUCTS not in metrics:
        return None
    at = metrics[_PRODUCTS][metrics["update"] == summary.solved_at.update]
    return float(at[0]) if at.size and np.isfinite(at[0]) else None


def _last_average(metrics: Mapping[str, Array]) -> tuple[float, float] | None:
    """Return loss and error rate of the average of the weights at the last evaluation; None: there is no average."""
    if any(column not in metrics for column in _OF_AVERAGE):
        return None
    loss, error_rate = (metrics[column] for column in _OF_AVERAGE)
    rows = np.flatnonzero(~np.isnan(error_rate))
    return (float(loss[rows[-1]]), float(error_rate[rows[-1]])) if rows.size else None


def _up_to_date(summary: Summary, curve: Curve | None) -> Summary:
    """Update the summary of a run that is training or was killed from its last evaluation, which may be newer."""
    if summary.status != "running" or curve is None or curve.loss.size == 0:
        return summary
    updates, sequences, seconds = (float(curve.x[measure][-1]) for measure in MEASURES)
    if updates < summary.updates:
        return summary
    loss = float(curve.loss[-1])
    return replace(
        summary,
        updates=int(updates),
        sequences=int(sequences),
        seconds=seconds,
        loss=loss if math.isfinite(loss) else None,
        error_rate=float(curve.error_rate[-1]),
    )


def _without_folder(error: RecordError, folder: Path) -> str:
    """Return the message on one line and without the folder, which is shown next to it."""
    return " ".join(str(error).replace(f"cannot read {folder}{os.sep}", "").split())
