"""Which jobs can be the replicas of one batched run, and in what they differ."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from rnnbench.config.build import shared_values
from rnnbench.config.schema import Config
from rnnbench.config.validate import CHOICES, fields_of
from rnnbench.records.identity import NAMES_ONLY

Values = Mapping[str, Any]

PROBES = "probe"
NOT_TOLD = frozenset({"seed", *NAMES_ONLY})
"""Keys that tell no cell from another."""

CADENCE_FOLLOWS = ("optim", "budget.updates", "budget.sequences", "optim.batch_size")
"""What decides how often a run is recorded, where the configuration does not say."""

UNEVEN = 1.25
"""A part may be so many times its fair share, where that keeps jobs together that differ in the seed alone."""

_Item = TypeVar("_Item")


def group_jobs(configs: Sequence[Config]) -> list[list[int]]:
    """Put jobs together that differ in nothing but fields marked per replica.

    Args:
        configs: One per job.

    Returns:
        Indices of the jobs of each group, groups and jobs in the order of the jobs.
    """
    groups: dict[str, list[int]] = {}
    for index, config in enumerate(configs):
        groups.setdefault(repr(sorted(shared_values(config).items())), []).append(index)
    return list(groups.values())


def replica_values(configs: Sequence[Config]) -> list[dict[str, Any]]:
    """What the jobs of one group have each for itself: the fields marked per replica in which they differ.

    Args:
        configs: Of the jobs of one group.

    Returns:
        For each job: dotted key -> value.
    """
    tables = [{key: value for key, value, _ in fields_of(config)} for config in configs]
    differing = [key for key in tables[0] if len({repr(table[key]) for table in tables}) > 1]
    return [{key: table[key] for key in differing} for table in tables]


def cells(values: Sequence[Values]) -> dict[str, list[int]]:
    """Jobs of a group that differ in the seed alone, by what tells them from the others.

    Args:
        values: Of each job, from `replica_values`.

    Returns:
        "KEY=VALUE,KEY=VALUE" -> indices. Where the seed is the same and everything else differs, all jobs are one cell,
        named "": a folder for each would say no more than the jobs' own do.
    """
    found: dict[str, list[int]] = {}
    for index, own in enumerate(values):
        name = ",".join(f"{key}={show(value)}" for key, value in own.items() if key not in NOT_TOLD)
        found.setdefault(name, []).append(index)
    if len(found) == len(values) > 1 and "seed" not in values[0]:
        return {"": list(range(len(values)))}
    return found


def split(cells: Sequence[Sequence[int]], num_parts: int, most: int) -> list[list[int]]:
    """Cut jobs into parts as equal as can be, between cells where the parts are nearly equal then.

    Args:
        cells: Jobs that differ in the seed alone, by their numbers.
        num_parts: How many parts; as many jobs at least.
        most: Jobs of a part, at most.
    """
    whole = [list(itertools.chain.from_iterable(part)) for part in _split_evenly(cells, num_parts)]
    jobs = list(itertools.chain.from_iterable(cells))
    largest = min(most, UNEVEN * len(jobs) / num_parts)
    if all(0 < len(part) <= largest for part in whole):
        return whole
    return [list(part) for part in _split_evenly(jobs, num_parts)]


def _split_evenly(items: Sequence[_Item], num_parts: int) -> list[Sequence[_Item]]:
    bounds = [round(part * len(items) / num_parts) for part in range(num_parts + 1)]
    return [items[low:high] for low, high in itertools.pairwise(bounds)]


def differences(tables: Sequence[Values]) -> list[str]:
    """The keys that tell some tables from one another, without those that follow from a choice which does.

    Args:
        tables: Of each, dotted key -> value; not all of them need have the same keys.

    Returns:
        The groups whose choices differ, such as "optim" or "probe", then dotted keys.
    """
    keys = {key: None for table in tables for key in table}
    differing = [key for key in keys if len({repr(table.get(key)) for table in tables}) > 1]
    chosen = [group for group in CHOICES if f"{group}.name" in differing]
    if len({value_in(table, PROBES) for table in tables}) > 1:
        chosen.append(PROBES)
    names = {f"{group}.name" for group in chosen}
    return [*chosen, *(key for key in differing if key not in names and not _follows(key, chosen, tables))]


def value_in(table: Values, key: str) -> Any:
    """The value of a key of `differences`: of a group the name of its choice, of probe the names of all probes."""
    if key == PROBES:
        probes = [name.split(".")[1] for name in table if name.startswith(f"{PROBES}.") and name.endswith(".name")]
        return "+".join(probes) or "none"
    return table.get(f"{key}.name", table.get(key))


def has_value(table: Values, key: str) -> bool:
    """Whether a table has a key of `differences`, as hf has no optim.lr."""
    return key in table or f"{key}.name" in table or key == PROBES


def label(table: Values, keys: Sequence[str]) -> str:
    """What a table has at some keys of `differences`, as overrides: "optim=nag,optim.lr=0.01"."""
    return ",".join(f"{key}={show(value_in(table, key))}" for key in keys if has_value(table, key))


def show(value: Any) -> str:
    """A value as an override shows it; different numbers are never shown the same."""
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return "null" if value is None else str(value).replace(" ", "")


def _follows(key: str, chosen: Sequence[str], tables: Sequence[Values]) -> bool:
    """Whether a key is one that a choice brings with it, and has one value wherever that choice is the same."""
    first = key.partition(".")[0]
    if first not in (*chosen, "budget", "record"):
        return False
    owners = {"budget": ("optim",), "record": CADENCE_FOLLOWS}.get(first, (first,))
    pairs = {(*(repr(value_in(table, owner)) for owner in owners), repr(table.get(key))) for table in tables}
    return len(pairs) == len({pair[:-1] for pair in pairs})
