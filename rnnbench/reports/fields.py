"""Fields of the runs' configurations: which of them vary, their names and the format of their values."""

from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.records.identity import DEFAULTS_OF_OTHERS
from rnnbench.records.messages import printable
from rnnbench.reports.errors import UnknownFieldError

Value = bool | int | float | str | None
Fields = Mapping[str, Value]

ABSENT = "-"
"""Value of a field that a run does not have, such as optim.lr with Hessian-free."""

SEED = "seed"

SWEEP = "sweep"
"""The sweep that a run is a job of: no key of its configuration, so that it says nothing which other fields say."""

STAGE, TRIAL = "stage", "trial"
"""The part of a tuning that a run belongs to, and the number of its setting: no keys of its configuration either."""

CHOICES = ("task", "model", "init", "optim", "schedule")

SCHEDULE = "schedule.name"

# Fields are considered in this order; fields that depend on earlier ones then do not split groups further.
_ORDER = (*(f"{group}.name" for group in CHOICES), "task.", "optim.lr", "optim.", "model.", "init.")
_LAST = ("dtype", "stop_when_solved", "budget.", "name", "probe.", "record.", "device", "threads", STAGE, SWEEP, TRIAL)


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Return the values of a nested configuration by dotted name; lists as text, without keys that are no settings."""
    flat: dict[str, Value] = {}
    for name, value in config.items():
        if name in ("_target_", "per_replica") or name in DEFAULTS_OF_OTHERS:
            continue
        key = printable(name)
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, bool | int | float | str | None) else str(value)
    return flat


def all_fields(runs: Sequence[Fields]) -> list[str]:
    """Return the names of all fields of the runs, the most important first."""
    names = {name: None for fields in runs for name in fields}

    def rank(name: str) -> int:
        last = next((len(_ORDER) + 1 + at for at, start in enumerate(_LAST) if name.startswith(start)), None)
        return next((at for at, start in enumerate(_ORDER) if name.startswith(start)), last or len(_ORDER))

    return sorted(names, key=rank)


def varying_fields(runs: Sequence[Fields]) -> list[str]:
    """Return the names of the fields in which the runs differ, without the seed, the most important first."""
    names = [name for name in all_fields(runs) if name != SEED]
    return [name for name in names if len({fields.get(name, ABSENT) for fields in runs}) > 1]


def grouping_fields(runs: Sequence[Fields]) -> list[str]:
    """Return the varying fields, without those determined by others, such as optim.damping by optim.name.

    Args:
        runs: Fields of each run.
    """
    chosen: list[str] = []
    labels: list[int] = [0] * len(runs)
    for name in varying_fields(runs):
        numbers: dict[tuple[int, Value], int] = {}
        finer = [
            numbers.setdefault((label, fields.get(name, ABSENT)), len(numbers))
            for label, fields in zip(labels, runs, strict=True)
        ]
        if len(numbers) > len(set(labels)):
            chosen.append(name)
            labels = finer
    return chosen


def resolve(name: str, runs: Sequence[Fields]) -> str:
    """Return the full name of a field; a config group stands for its name, such as optim for optim.name.

    Raises:
        UnknownFieldError: No run has the field.
    """
    names = all_fields(runs)
    for candidate in (name, f"{name}.name"):
        if candidate in names:
            return candidate
    raise UnknownFieldError(name, names)


def format_value(value: Value) -> str:
    """Format a value as on the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return printable(str(value))


def format_values(values: Sequence[Value], max_shown: int = 8) -> str:
    """Format the distinct values, sorted; if there are many, only the first and the last."""
    words = [format_value(value) for value in sorted(set(values), key=order)]
    if len(words) > max_shown:
        return f"{', '.join(words[:3])}, .., {words[-1]} ({len(words)} values)"
    return ", ".join(words)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return name -> short name: the last part if it is unique, or the config group for GROUP.name."""
    short = {name: name.removesuffix(".name") if name.endswith(".name") else name.rpartition(".")[2] for name in names}
    lasts = list(short.values())
    return {name: last if lasts.count(last) == 1 else name for name, last in short.items()}


def label(names: Sequence[str], values: Sequence[Value]) -> str:
    """Return the label of a group: "nag, lr=0.01"."""
    short = short_names(names)
    words = [
        format_value(value) if name.endswith(".name") or name == STAGE else f"{short[name]}={format_value(value)}"
        for name, value in zip(names, values, strict=True)
        if value != ABSENT
    ]
    return ", ".join(words) or "all runs"


def is_of_task(name: str) -> bool:
    """Whether a field belongs to the task."""
    return name.startswith("task.")


def is_number(value: Value) -> bool:
    """Whether a value is a number, not a boolean."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def order(value: Value) -> tuple[int, float, str]:
    """Return a sort key: numbers by size, then texts, then missing values."""
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (2, 0.0, "") if value is None or value == ABSENT else (1, 0.0, value)
