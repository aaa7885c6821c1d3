"""Finds run folders: below any folder by their files, and in a sweep by its plan."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rnnbench.records.errors import RecordError
from rnnbench.records.folder_names import job_folder
from rnnbench.records.plain_file import read_file
from rnnbench.records.summary import SWEEP_FILE_NAME, SWEEP_FOLDERS, is_run_folder, is_sweep_folder
from rnnbench.records.tuning import SEARCH, Tuning, read_tuning, tuning_of
from rnnbench.reports.fields import STAGE, TRIAL, Value

Effect = Literal["not counted", "without curves", "jobs without records are not listed"]


@dataclass(frozen=True)
class Problem:
    """A folder that cannot be read completely.

    Attributes:
        folder: The folder.
        message: Description of the problem, without a full stop.
        effect: Effect on the report.
    """

    folder: Path
    message: str
    effect: Effect = "not counted"


@dataclass(frozen=True)
class Job:
    """Information of a sweep about one of its jobs.

    Attributes:
        sweep: Sweep folder; for a tuning, its folder, which has two sweeps.
        budget: Current budget of the job in the sweep, by dotted name.
        tuned: Stage and trial of a job of a tuning, as fields of its run; empty for other jobs.
    """

    sweep: Path
    budget: Mapping[str, Any]
    tuned: Mapping[str, Value] = field(default_factory=dict)


@dataclass
class Found:
    """Runs, jobs without records and problems in and below some folders.

    Attributes:
        runs: Folders with records of a run, each once, sorted by path.
        waiting: Folders of a sweep's jobs without records.
        problems: Folders that are missing or cannot be read.
        repeats: Folders of repeated runs, each with the folder that is counted.
        jobs: Folder of each job of a sweep -> information of the sweep about it.
    """

    runs: list[Path] = field(default_factory=list)
    waiting: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    repeats: list[tuple[Path, Path]] = field(default_factory=list)
    jobs: dict[Path, Job] = field(default_factory=dict)


def find_run_folders(folders: Sequence[Path]) -> Found:
    """Find the runs in and below some folders; in a sweep folder, only the jobs of its plan."""
    found = Found()
    seen: set[Path] = set()

    def note(error: OSError) -> None:
        found.problems.append(Problem(Path(error.filename), f"cannot be listed: {error.strerror}"))

    for top in folders:
        for name, inner, _ in os.walk(top, onerror=note):
            path = Path(name)
            inner[:] = sorted(each for each in inner if not each.startswith("."))
            if is_sweep_folder(path):
                jobs = _jobs(path, found.problems)
                inner[:] = [each for each in inner if each not in SWEEP_FOLDERS] if jobs is None else []
                for job in jobs or ():
                    _classify(job, found, seen)
                found.jobs |= jobs or {}
            if is_run_folder(path):
                _classify(path, found, seen)
    found.runs.sort()
    return found


def _classify(path: Path, found: Found, seen: set[Path]) -> None:
    """Add a folder to the list it belongs to, unless it is already known."""
    place = Path(os.path.realpath(path))
    if place in seen:
        return
    seen.add(place)
    if is_run_folder(path):
        found.runs.append(path)
    elif path.is_dir():
        found.waiting.append(path)
    else:
        found.problems.append(Problem(path, "the folder of this job is missing"))


def _budget(group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the budget of a group of a plan; empty if the plan has no valid one."""
    config = group.get("config")
    budget = config.get("budget") if isinstance(config, Mapping) else None
    return {f"budget.{name}": value for name, value in budget.items()} if isinstance(budget, Mapping) else {}


def _tuned(stage: str, tuning: Tuning | None, name: str) -> dict[str, Value]:
    """Return stage and trial of a job of a tuning, as fields; empty if it is a job of another sweep."""
    if tuning is None:
        return {}
    return {STAGE: stage, TRIAL: tuning.trial_of(name) + 1} if stage == SEARCH else {STAGE: stage}


def _jobs(folder: Path, problems: list[Problem]) -> dict[Path, Job] | None:
    """Return the jobs of a sweep by folder, in the order of the plan; None and a new problem if it cannot be read."""
    try:
        plan = json.loads(read_file(folder / SWEEP_FILE_NAME))
        home = tuning_of(folder)
        tuning, stage = None if home is None else read_tuning(home), os.path.basename(os.path.realpath(folder))
        return {
            job_folder(folder, name): Job(home or folder, _budget(group), _tuned(stage, tuning, name))
            for group in plan["groups"]
            for name in group["folders"]
        }
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    except RecordError as error:
        message = f"is damaged: {error}"
    except (ValueError, KeyError, TypeError, RecursionError):
        message = "is damaged"
    problems.append(Problem(folder, f"{SWEEP_FILE_NAME} {message}", "jobs without records are not listed"))
    return None
