"""Runs a stage of the check: one measurement after another; each is written to disk before the next one starts."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rnnbench.records.whole_file import replace_file

SECONDS_OF_A_STAGE = 235.0
"""Time limit of one call: no measurement is started that may exceed it, and the next call continues."""

Measure = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Stage:
    """A part of the check.

    Attributes:
        name: Name of the stage and of its file, NAME.json.
        title: Heading of the stage.
        measurements: Measurements by name; each returns numbers and strings, and "ok" if it can fail.
        longest: Largest time of one measurement, in seconds.
    """

    name: str
    title: str
    measurements: Mapping[str, Measure]
    longest: float


@dataclass(frozen=True)
class Outcome:
    """State of a stage after a call.

    Attributes:
        measured: Results on disk, by name of the measurement.
        missing: Number of measurements that are still to be made.
    """

    measured: Mapping[str, Mapping[str, Any]]
    missing: int

    @property
    def failed(self) -> list[str]:
        """Names of the measurements that raised an error or whose result is not ok."""
        return [name for name, found in self.measured.items() if not _is_good(found)]


def run_stage(stage: Stage, folder: Path, facts: Mapping[str, Any], stream: TextIO, seconds: float) -> Outcome:
    """Make the measurements of a stage that are missing in its file.

    Results from another chip, other versions or another revision are measured again, and so are failed ones.

    Args:
        stage: Stage to run.
        folder: Folder of the results.
        facts: Chip, versions and revision, as JSON values.
        stream: Stream that each result is printed to.
        seconds: Time limit: no measurement but the first is started if it may exceed it.

    Raises:
        RecordError: The file cannot be written.
    """
    path, start, is_first = folder / f"{stage.name}.json", time.perf_counter(), True
    measured = _kept(path, facts)
    for name, measure in stage.measurements.items():
        if name in measured:
            continue
        if not is_first and time.perf_counter() - start + stage.longest > seconds:
            break
        is_first = False
        before = time.perf_counter()
        try:
            found = dict(measure())
        except Exception as error:  # a failure is a result too; continue with the others
            found = {"error": f"{type(error).__name__}: {error}"}
        measured[name] = {**found, "seconds": time.perf_counter() - before}
        contents = {"stage": stage.name, "title": stage.title, **facts, "measurements": measured}
        replace_file(path, json.dumps(contents, indent=1) + "\n")
        print(f"  {name}: {_in_words(measured[name])}", file=stream, flush=True)
    return Outcome(measured, len(stage.measurements) - len(measured))


def _kept(path: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the successful results of an earlier call with the same facts."""
    try:
        contents = json.loads(path.read_text(encoding="utf-8"))
        if any(contents[key] != value for key, value in facts.items()):
            return {}
        measured: dict[str, Any] = contents["measurements"]
    except (OSError, ValueError, KeyError):
        return {}
    return {name: found for name, found in measured.items() if _is_good(found)}


def _is_good(found: Mapping[str, Any]) -> bool:
    return "error" not in found and found.get("ok") is not False


def _in_words(found: Mapping[str, Any]) -> str:
    def number(value: Any) -> str:
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    return ", ".join(f"{key} {number(value)}" for key, value in found.items())
