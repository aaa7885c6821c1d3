"""Fields of the runs' configurations: which vary, how they are named and said."""

from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.records.messages import printable
from rnnbench.report.errors import UnknownFieldError

Value = bool | int | float | str | None
Fields = Mapping[str, Value]

ABSENT = "-"
"""Stands for the value of a field that a run does not have, as optim.lr of Hessian-free."""

SEED = "seed"

SWEEP = "sweep"
"""The sweep that a run is a job of: no key of its configuration, so that it says nothing which other fields say."""

CHOICES = ("task", "model", "init", "optim")

# What is looked at first makes the groups; what depends on it then adds nothing.
_ORDER = (*(f"{group}.name" for group in CHOICES), "task.", "optim.lr", "optim.", "model.", "init.")
_LAST = ("dtype", "stop_when_solved", "budget.", "name", "probe.", "record.", "device", "threads", SWEEP)


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Values of a nested configuration by dotted name; lists as text; what names no setting is left out."""
    flat: dict[str, Value] = {}
    for name, value in config.items():
        if name in ("_target_", "cadence", "per_replica"):
            continue
        key = printable(name)
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, bool | int | float | str | None) else str(value)
    return flat


def all_fields(runs: Sequence[Fields]) -> list[str]:
    """Names of the fields of any run, the most telling first."""
    names = {name: None for fields in runs for name in fields}

    def rank(name: str) -> int:
        last = next((len(_ORDER) + 1 + at for at, start in enumerate(_LAST) if name.startswith(start)), None)
        return next((at for at, start in enumerate(_ORDER) if name.startswith(start)), last or len(_ORDER))

    return sorted(names, key=rank)


def varying_fields(runs: Sequence[Fields]) -> list[str]:
    """Names of the fields in which runs differ, seed excluded, the most telling first."""
    names = [name for name in all_fields(runs) if name != SEED]
    return [name for name in names if len({fields.get(name, ABSENT) for fields in runs}) > 1]


def grouping_fields(runs: Sequence[Fields]) -> list[str]:
    """The varying fields, without those that follow from others: where optim.name varies, optim.damping says no more.

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
    """The field that a person means: a group stands for its name, as optim for optim.name.

    Raises:
        UnknownFieldError: No run has it.
    """
    names = all_fields(runs)
    for candidate in (name, f"{name}.name"):
        if candidate in names:
            return candidate
    raise UnknownFieldError(name, names)


def say(value: Value) -> str:
    """A value as it is typed on the command line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return printable(str(value))


def say_values(values: Sequence[Value], most: int = 8) -> str:
    """Some values, in order; of many, the first and the last."""
    words = [say(value) for value in sorted(set(values), key=order)]
    if len(words) > most:
        return f"{', '.join(words[:3])}, .., {words[-1]} ({len(words)} values)"
    return ", ".join(words)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Name -> its last part, where that tells it from the others; a group for its name."""
    short = {name: name.removesuffix(".name") if name.endswith(".name") else name.rpartition(".")[2] for name in names}
    lasts = list(short.values())
    return {name: last if lasts.count(last) == 1 else name for name, last in short.items()}


def label(names: Sequence[str], values: Sequence[Value]) -> str:
    """What a group is called: "nag, lr=0.01"."""
    short = short_names(names)
    words = [
        say(value) if name.endswith(".name") else f"{short[name]}={say(value)}"
        for name, value in zip(names, values, strict=True)
        if value != ABSENT
    ]
    return ", ".join(words) or "all runs"


def is_of_task(name: str) -> bool:
    """Whether a field says what is to be learned; the others say how."""
    return name.startswith("task.")


def is_number(value: Value) -> bool:
    """Whether a value has a place on an axis."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def order(value: Value) -> tuple[int, float, str]:
    """Sorts numbers by size, then words, then what is not there."""
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (2, 0.0, "") if value is None or value == ABSENT else (1, 0.0, value)
