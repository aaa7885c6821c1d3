"""summary.json: how a run stands or how it ended, for other programs. Strict JSON, replaced as a whole."""

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

KEPT_BY_SWEEPS = ("aggregate", "groups", "submitit")
"""Folders beside those of a sweep's jobs."""

OF_A_SWEEP = (*KEPT_BY_SWEEPS, "report", SWEEP_FILE_NAME, "multirun.yaml")
"""Names in a sweep's folder that no job can have."""

# Any of these makes a folder a run's folder.
RUN_FILES = (FILE_NAME, "checkpoint.pt", "metrics.csv")

Status = Literal["running", "solved", "budget", "diverged", "interrupted", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)


@dataclass(frozen=True)
class SolvedAt:
    """The first of the evaluations that made a run count as solved."""

    update: int
    sequences: int
    seconds: float


@dataclass(frozen=True)
class Summary:
    """The contents of summary.json.

    Attributes:
        status: running; solved; budget: it is used up; diverged: loss or parameters are not finite any more;
            interrupted: by Ctrl-C or a signal; failed: by an error.
        solved: Whether it was solved, which a run with stop_when_solved=false can be and go on.
        solved_at: When.
        message: What happened, for a person, where the status does not say it.
        loss: At the last evaluation.
        error_rate: At the last evaluation, between 0 and 1.
        solved_error_rate: Below which the task counts as solved; None: not recorded.
        baseline_loss: Of the best predictor that ignores its inputs.
        baseline_error_rate: Of the best predictor that ignores its inputs.
        updates: Updates done.
        sequences: Sequences seen, those of products included.
        products: Gauss-Newton products done.
        seconds: Wall-clock time of training.
        config: The resolved configuration, nested, each group with its name.
        schema: The class of each choice in `config`, by its dotted key, with which a run begins anew.
        versions: Of Python and the packages that decide the numbers.
        device: As torch names it.
        threads: For the arithmetic on the CPU.
        recurrence: The way through a gated net's steps that was measured to be faster on a GPU; None: nothing was.
        git: Revision of the checkout that rnnbench ran from, if it did.
        classes: The folder that each class which is not rnnbench's was imported from.
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
        """Whether its budget ended below the limit, but further sequences did not confirm that it is solved."""
        rate, limit = self.error_rate, self.solved_error_rate
        is_below = rate is not None and limit is not None and rate < limit
        return self.status == "budget" and not self.solved and is_below


def write_summary(folder: Path, summary: Summary, *, durable: bool = True) -> None:
    """Replace a run's summary.json, so that whoever reads it at any moment finds the old or the new one, whole.

    Numbers that are not finite become null.

    Args:
        folder: The run folder.
        summary: What to write.
        durable: Wait until the disk has it, so that it survives a power cut.

    Raises:
        RecordError: It cannot be written; the old one is untouched.
    """
    contents = json.dumps(_strict(dataclasses.asdict(summary)), indent=2, allow_nan=False) + "\n"
    replace_file(folder / FILE_NAME, contents, durable=durable)


def read_summary(folder: Path) -> Summary:
    """Read a run's summary.json. Keys that this version does not know are left out.

    Raises:
        RecordError: It is missing or is no summary.
    """
    path = folder / FILE_NAME
    try:
        contents = json.loads(read_file(path))
    except OSError as error:
        raise failure(f"cannot read {path}", error) from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"cannot read {path}: {error}") from error
    if not isinstance(contents, dict) or contents.get("status") not in STATUSES:
        raise RecordError(f"cannot read {path}: its status is none of {', '.join(STATUSES)}")
    names = {entry.name for entry in dataclasses.fields(Summary)}
    known = {key: value for key, value in contents.items() if key in names}
    if known.get("solved_at") is not None:
        try:
            known["solved_at"] = SolvedAt(**known["solved_at"])
        except TypeError as error:
            raise RecordError(f"cannot read {path}: solved_at is not update, sequences and seconds") from error
    summary = Summary(**known)
    try:
        check_summary(summary)
    except RecordError as error:
        raise RecordError(f"cannot read {path}: {error}") from error
    return summary


def check_summary(summary: Summary) -> None:
    """Check that the values have the types of the contract.

    Raises:
        RecordError: One has not; the message names it.
    """
    values = vars(summary)
    for names, is_right, expected in _CONTRACT:
        wrong = [name for name in names if not is_right(values[name])]
        if wrong:
            raise RecordError(f"{wrong[0]} is {expected}: {values[wrong[0]]!r}")
    if summary.solved and summary.solved_at is None:
        raise RecordError("it says solved, but not when")


def _is_number(value: object) -> bool:
    """Whether it is a number that is finite, as a float too."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _is_event(value: object) -> bool:
    return isinstance(value, SolvedAt) and all(map(_is_number, (value.update, value.sequences, value.seconds)))


def _or_none(is_right: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or is_right(value)


_CONTRACT: Sequence[tuple[Sequence[str], Callable[[object], bool], str]] = (
    (("updates", "sequences", "products", "seconds"), _is_number, "no finite number"),
    (("loss", "error_rate", "baseline_loss", "baseline_error_rate"), _or_none(_is_number), "no finite number"),
    (("threads",), _or_none(lambda value: isinstance(value, int) and value >= 1), "no number of threads"),
    (("solved",), lambda value: isinstance(value, bool), "neither true nor false"),
    (("solved_at",), _or_none(_is_event), "not made of numbers"),
    (("config", "schema", "versions"), lambda value: isinstance(value, Mapping), "not keys and values"),
    (("message", "device", "recurrence", "git"), _or_none(lambda value: isinstance(value, str)), "no text"),
)
"""Names of fields, what has to hold of their values, and what they are otherwise."""


def is_run_folder(path: Path) -> bool:
    """Whether a folder already holds a run."""
    return any((path / name).exists() for name in RUN_FILES)


def is_sweep_folder(path: Path) -> bool:
    """Whether a folder holds a sweep."""
    return (path / SWEEP_FILE_NAME).is_file()


def what_is_in(path: Path) -> Literal["sweep", "run"] | None:
    """What a folder holds; None: neither. A single file that has the name of a run's is not enough to be one."""
    if is_sweep_folder(path):
        return "sweep"
    if not is_run_folder(path):
        return None
    if all((path / name).exists() for name in ("checkpoint.pt", "metrics.csv")):
        return "run"
    try:
        read_summary(path)
    except RecordError:
        return None
    return "run"


def sweep_of(folder: Path) -> Path | None:
    """The folder of the sweep that a run's folder lies in; None: it is a run by itself."""
    return next((parent for parent in Path(os.path.realpath(folder)).parents if is_sweep_folder(parent)), None)


def _strict(value: Any) -> Any:
    """The value with null in place of numbers that are not finite, and Python's numbers in place of numpy's."""
    if isinstance(value, Mapping):
        return {str(key): _strict(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(entry) for entry in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
