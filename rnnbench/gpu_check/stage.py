"""A stage of the check: measurements one after another, each on disk before the next begins."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from rnnbench.records.whole_file import replace_file

SECONDS_OF_A_STAGE = 235.0
"""A call begins no measurement that may not end within so many; the next call goes on."""

Measure = Callable[[], Mapping[str, Any]]


@dataclass(frozen=True)
class Stage:
    """Part of the check.

    Attributes:
        name: Also of its file, NAME.json.
        title: What it shows.
        measurements: By their name in the file; each gives numbers and strings, "ok" among them where it can fail.
        longest: Seconds that the longest of them may take.
    """

    name: str
    title: str
    measurements: Mapping[str, Measure]
    longest: float


@dataclass(frozen=True)
class Outcome:
    """How far a call came with a stage.

    Attributes:
        measured: Measurements on disk, by name.
        missing: How many are still to be made.
    """

    measured: Mapping[str, Mapping[str, Any]]
    missing: int

    @property
    def failed(self) -> list[str]:
        """The measurements that went wrong, or whose result is not as it should be."""
        return [name for name, found in self.measured.items() if not _is_good(found)]


def run_stage(stage: Stage, folder: Path, facts: Mapping[str, Any], stream: TextIO, seconds: float) -> Outcome:
    """Make the measurements of a stage that its file lacks.

    Measurements of another chip, other versions or another revision are made anew, and so are those that failed.

    Args:
        stage: The stage.
        folder: Of its file.
        facts: What they are made on, as JSON has it.
        stream: Told of each.
        seconds: Begin none that may not end within so many, but for the first.

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
        except Exception as error:  # what one of them comes to is a result; the others go on
            found = {"error": f"{type(error).__name__}: {error}"}
        measured[name] = {**found, "seconds": time.perf_counter() - before}
        contents = {"stage": stage.name, "title": stage.title, **facts, "measurements": measured}
        replace_file(path, json.dumps(contents, indent=1) + "\n")
        print(f"  {name}: {_in_words(measured[name])}", file=stream, flush=True)
    return Outcome(measured, len(stage.measurements) - len(measured))


def _kept(path: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The good measurements of an earlier call, if it was made on the same."""
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
