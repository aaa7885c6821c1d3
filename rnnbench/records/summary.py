"""summary.json: status and results of a run, for other programs. Strict JSON, replaced atomically."""

import dataclasses
import json
import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import failure
from rnnbench.records.plain_file import read_file
from rnnbench.records.whole_file import replace_file

FILE_NAME = "summary.json"

SWEEP_FILE_NAME = "sweep.json"

SWEEP_FOLDERS = ("aggregate", "groups", "submitit")
"""Subfolders of a sweep folder that are not job folders."""

RESERVED_NAMES = (*SWEEP_FOLDERS, "report", SWEEP_FILE_NAME, "multirun.yaml")
"""Names in a sweep folder that a job cannot have."""

CHECKPOINT = "checkpoint.pt"
"""Name of the file with the last checkpoint in a run folder."""

RUN_FILES = (FILE_NAME, CHECKPOINT, "metrics.csv")
"""A folder with any of these files is a run folder."""

Status = Literal["running", "solved", "budget", "diverged", "interrupted", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class SolvedAt:
    """The first of the evaluations at which a run was solved."""

    update: int
    sequences: int
    seconds: float


@dataclass(frozen=True)
class Summary:
    """The contents of summary.json.

    Attributes:
        status: running; solved; budget: the budget is used up; diverged: loss or parameters are no longer finite;
            interrupted: ended by Ctrl-C or a signal; failed: ended by an error.
        solved: Whether the run was solved; with stop_when_solved=false, a solved run continues.
        solved_at: The evaluation at which the run was solved; None: it was not.
        message: Reason for the status, if the status alone does not explain it.
        loss: Loss at the last evaluation.
        error_rate: Error rate at the last evaluation, between 0 and 1.
        solved_error_rate: Error rate below which the task counts as solved; None: not recorded.
        baseline_loss: Loss of the best predictor that ignores its inputs.
        baseline_error_rate: Error rate of the best predictor that ignores its inputs.
        updates: Number of updates done.
        sequences: Number of sequences processed, those of curvature products included.
        products: Number of Gauss-Newton or Hessian products.
        seconds: Wall-clock time of training.
        config: Resolved configuration, nested, each group with the name of its choice.
        schema: Dataclass of each choice in `config`, by dotted key; needed to restart the run.
        versions: Versions of Python and the packages that determine the numbers.
        device: Name of the device in torch.
        threads: Number of worker threads on the CPU.
        recurrence: Faster recurrence of a gated net, as measured on a GPU; None: not measured.
        git: Revision of the checkout that rnnbench ran from; None: it did not run from a checkout.
        classes: Folder from which each class outside rnnbench was imported.
    """

    status: Status
    solved: bool = False
    solved_at: SolvedAt | None = None
    message: str | None = None
    loss: float | None = None
    error_rate: float | None = None
    solved_error_rate: float | None = None
    baseline_loss: float | None = None
    baseline_error_rate: float | None = None
    updates: int = 0
    sequences: int = 0
    products: int = 0
    seconds: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict)
    schema: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    device: str | None = None
    threads: int | None = None
    recurrence: str | None = None
    git: str | None = None
    classes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_unconfirmed(self) -> bool:
        """Whether the last error rate is below the limit, but further sequences did not confirm it as solved."""
        rate, limit = self.error_rate, self.solved_error_rate
        is_below = rate is not None and limit is not None and rate < limit
        return self.status == "budget" and not self.solved and is_below


def write_summary(folder: Path, summary: Summary, *, durable: bool = True) -> None:
    """Replace the summary.json of a run atomically; numbers that are not finite become null.

    Args:
        folder: Run folder.
        summary: New contents.
        durable: Whether to wait until the file is on disk, so that it survives a power cut.

    Raises:
        RecordError: The file cannot be written; the old one is unchanged.
    """
    contents = json.dumps(_strict(dataclasses.asdict(summary)), indent=2, allow_nan=False) + "\n"
    replace_file(folder / FILE_NAME, contents, durable=durable)


def read_summary(folder: Path) -> Summary:
    """Read the summary.json of a run; unknown keys are ignored.

    Raises:
        RecordError: The file is missing or not a valid summary.
    """
    path = folder / FILE_NAME
    try:
        contents = json.loads(read_file(path))
    except OSError as error:
        raise failure(f"cannot read {path}", error) from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"cannot read {path}: {error}") from error
    if not isinstance(contents, dict) or contents.get("status") not in STATUSES:
        raise RecordError(f"cannot read {path}: status must be one of {', '.join(STATUSES)}")
    names = {entry.name for entry in dataclasses.fields(Summary)}
    known = {key: value for key, value in contents.items() if key in names}
    if known.get("solved_at") is not None:
        try:
            known["solved_at"] = SolvedAt(**known["solved_at"])
        except TypeError as error:
            raise RecordError(f"cannot read {path}: solved_at must hold update, sequences and seconds") from error
    summary = Summary(**known)
    try:
        check_summary(summary)
    except RecordError as error:
        raise RecordError(f"cannot read {path}: {error}") from error
    return summary


def check_summary(summary: Summary) -> None:
    """Check the types of the values.

    Raises:
        RecordError: A value has another type; the message names its key.
    """
    values = vars(summary)
    for names, is_valid, expected in _TYPES:
        wrong = [name for name in names if not is_valid(values[name])]
        if wrong:
            raise RecordError(f"{wrong[0]} must be {expected}, got {values[wrong[0]]!r}")
    if summary.solved and summary.solved_at is None:
        raise RecordError("solved is true, but solved_at is missing")


def _is_number(value: object) -> bool:
    """Whether a value is a number that is finite as a float."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_event(value: object) -> bool:
    return isinstance(value, SolvedAt) and all(map(_is_number, (value.update, value.sequences, value.seconds)))


def _or_none(is_valid: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or is_valid(value)


_TYPES: Sequence[tuple[Sequence[str], Callable[[object], bool], str]] = (
    (("updates", "sequences", "products", "seconds"), _is_number, "a finite number"),
    (("loss", "error_rate", "baseline_loss", "baseline_error_rate"), _or_none(_is_number), "a finite number or null"),
    (("threads",), _or_none(lambda value: isinstance(value, int) and value >= 1), "an integer >= 1 or null"),
    (("solved",), lambda value: isinstance(value, bool), "true or false"),
    (("solved_at",), _or_none(_is_event), "three finite numbers or null"),
    (("config", "schema", "versions"), lambda value: isinstance(value, Mapping), "an object"),
    (("message", "device", "recurrence", "git"), _or_none(lambda value: isinstance(value, str)), "a string or null"),
)
"""Names of fields, the check of their values, and a description of valid values."""


def is_run_folder(path: Path) -> bool:
    """Whether a folder already holds a run."""
    return any((path / name).exists() for name in RUN_FILES)


def is_sweep_folder(path: Path) -> bool:
    """Whether a folder holds a sweep."""
    return (path / SWEEP_FILE_NAME).is_file()


def what_is_in(path: Path) -> Literal["sweep", "run"] | None:
    """Return what a folder holds; None: neither a sweep nor a run. A single file with the name of a run's is no run."""
    if is_sweep_folder(path):
        return "sweep"
    if not is_run_folder(path):
        return None
    if all((path / name).exists() for name in (CHECKPOINT, "metrics.csv")):
        return "run"
    try:
        read_summary(path)
    except RecordError:
        return None
    return "run"


def sweep_of(folder: Path) -> Path | None:
    """Return the sweep folder that contains a run folder; None: it is a single run."""
    return next((parent for parent in Path(os.path.realpath(folder)).parents if is_sweep_folder(parent)), None)


def _strict(value: Any) -> Any:
    """Replace numbers that are not finite by null, and numpy's numbers by Python's."""
    if isinstance(value, Mapping):
        return {str(key): _strict(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
