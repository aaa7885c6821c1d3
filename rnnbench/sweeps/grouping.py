"""Which jobs can be replicas of one batched run, and which keys differ between jobs."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from rnnbench.config.build import INPUT_WEIGHT_SCALE, shared_values
from rnnbench.config.schema import CHOICE_GROUPS, Config
from rnnbench.config.validate import fields_of
from rnnbench.records.identity import NAMES_ONLY

Values = Mapping[str, Any]

PROBES = "probe"
NOT_SHOWN = frozenset({"seed", *NAMES_ONLY})
"""Keys that do not distinguish cells."""

_CADENCE = ("optim", "budget.updates", "budget.sequences", "optim.batch_size")

FOLLOWS: Mapping[str, Sequence[str]] = {
    "budget": ("optim",),
    "record": _CADENCE,
    "schedule": ("schedule", *_CADENCE),
    "init.input_scale": ("init", "task", "task.sequence_length"),
}
"""Key, or part of the configuration -> the keys that determine its defaults: the scale of the input weights, the
intervals of logging and evaluation, and the length of a schedule."""

UNEVEN = 1.25
"""Largest size of a part, relative to equal parts, for which jobs that differ only in the seed stay together."""

_Item = TypeVar("_Item")


def group_jobs(configs: Sequence[Config]) -> list[list[int]]:
    """Group jobs that differ only in per-replica keys.

    Args:
        configs: Configuration of each job.

    Returns:
        Indices of the jobs in each group; groups and jobs keep the order of the jobs.
    """
    groups: dict[str, list[int]] = {}
    for index, config in enumerate(configs):
        groups.setdefault(repr(sorted(shared_values(config).items())), []).append(index)
    return list(groups.values())


def replica_values(configs: Sequence[Config]) -> list[dict[str, Any]]:
    """The values of the keys in which the jobs of a group differ.

    Args:
        configs: Configurations of the jobs in one group.

    Returns:
        For each job: dotted key -> value.
    """
    tables = [{key: value for key, value, _ in fields_of(config)} for config in configs]
    names = [key for key in tables[0] if key != INPUT_WEIGHT_SCALE]
    differing = [key for key in names if len({repr(table[key]) for table in tables}) > 1]
    return [{key: table[key] for key in differing} for table in tables]


def cells(values: Sequence[Values]) -> dict[str, list[int]]:
    """Group the jobs of a group into cells: jobs that differ only in the seed.

    Args:
        values: Values of each job, from `replica_values`.

    Returns:
        "KEY=VALUE,KEY=VALUE" -> indices of the jobs in the cell. If all jobs have the same seed and different values,
        they form one cell named "": one aggregate per job would repeat the job's own records.
    """
    by_name: dict[str, list[int]] = {}
    for index, own in enumerate(values):
        name = ",".join(f"{key}={show(value)}" for key, value in own.items() if key not in NOT_SHOWN)
        by_name.setdefault(name, []).append(index)
    if len(by_name) == len(values) > 1 and "seed" not in values[0]:
        return {"": list(range(len(values)))}
    return by_name


def split(cells: Sequence[Sequence[int]], num_parts: int, most: int) -> list[list[int]]:
    """Split jobs into parts of nearly equal size; cells stay whole if the parts are still nearly equal.

    Args:
        cells: Indices of the jobs in each cell.
        num_parts: Number of parts, at most the number of jobs.
        most: Largest number of jobs in a part.
    """
    by_cell = [list(itertools.chain.from_iterable(part)) for part in _split_evenly(cells, num_parts)]
    jobs = list(itertools.chain.from_iterable(cells))
    largest = min(most, UNEVEN * len(jobs) / num_parts)
    if all(0 < len(part) <= largest for part in by_cell):
        return by_cell
    return [list(part) for part in _split_evenly(jobs, num_parts)]


def _split_evenly(items: Sequence[_Item], num_parts: int) -> list[Sequence[_Item]]:
    bounds = [round(part * len(items) / num_parts) for part in range(num_parts + 1)]
    return [items[low:high] for low, high in itertools.pairwise(bounds)]


def differences(tables: Sequence[Values]) -> list[str]:
    """The keys that differ between tables, without keys whose values follow from a differing choice.

    Args:
        tables: Tables of dotted key -> value; they need not have the same keys.

    Returns:
        The groups whose choices differ, such as "optim" or "probe", then dotted keys.
    """
    keys = {key: None for table in tables for key in table if key != INPUT_WEIGHT_SCALE}
    differing = [key for key in keys if len({repr(table.get(key)) for table in tables}) > 1]
    chosen = [group for group in CHOICE_GROUPS if f"{group}.name" in differing]
    if len({value_in(table, PROBES) for table in tables}) > 1:
        chosen.append(PROBES)
    names = {f"{group}.name" for group in chosen}
    return [*chosen, *(key for key in differing if key not in names and not _follows(key, chosen, tables))]


def value_in(table: Values, key: str) -> Any:
    """The value of a key from `differences`: for a group the name of its choice, for probe the names of all probes."""
    if key == PROBES:
        probes = [name.split(".")[1] for name in table if name.startswith(f"{PROBES}.") and name.endswith(".name")]
        return "+".join(probes) or "none"
    return table.get(f"{key}.name", table.get(key))


def has_value(table: Values, key: str) -> bool:
    """Whether a table has a key from `differences`; for example, hf has no optim.lr."""
    return key in table or f"{key}.name" in table or key == PROBES


def label(table: Values, keys: Sequence[str]) -> str:
    """The values of a table for keys from `differences`, as overrides: "optim=nag,optim.lr=0.01"."""
    return ",".join(f"{key}={show(value_in(table, key))}" for key in keys if has_value(table, key))


def show(value: Any) -> str:
    """A value as in an override; different numbers are always shown differently."""
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return "null" if value is None else str(value).replace(" ", "")


def _follows(key: str, chosen: Sequence[str], tables: Sequence[Values]) -> bool:
    """Whether the value of a key is determined by the differing choices."""
    first = key.partition(".")[0]
    owners = FOLLOWS.get(key) or FOLLOWS.get(first) or ((first,) if first in chosen else ())
    if not owners:
        return False
    pairs = {(*(repr(value_in(table, owner)) for owner in owners), repr(table.get(key))) for table in tables}
    return len(pairs) == len({pair[:-1] for pair in pairs})
