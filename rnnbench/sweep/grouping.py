"""Which jobs can be the replicas of one batched run, and in what they differ."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.config.build import NAMES_ONLY, shared_values
from rnnbench.config.schema import Config
from rnnbench.config.validate import fields_of

Values = Mapping[str, Any]


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
        "KEY=VALUE,KEY=VALUE" -> indices. Where no two jobs differ in the seed alone, all jobs are one cell, named "".
    """
    found: dict[str, list[int]] = {}
    for index, own in enumerate(values):
        name = ",".join(f"{key}={show(value)}" for key, value in own.items() if key not in ("seed", *NAMES_ONLY))
        found.setdefault(name, []).append(index)
    if len(found) == len(values):
        return {"": list(range(len(values)))}
    return found


def split_evenly(jobs: Sequence[int], most: int) -> list[list[int]]:
    """Cut a list into the fewest parts of at most `most`, as equal as can be."""
    count = math.ceil(len(jobs) / most)
    bounds = [round(part * len(jobs) / count) for part in range(count + 1)]
    return [list(jobs[low:high]) for low, high in itertools.pairwise(bounds)]


def differences(configs: Sequence[Config]) -> list[str]:
    """The keys that keep jobs from being replicas of one run, those of a choice that differs as a whole left out.

    Args:
        configs: One of each group.

    Returns:
        Dotted keys; a group's name, such as "optim", where its choice differs.
    """
    tables = [shared_values(config) for config in configs]
    keys = {key: None for table in tables for key in table}
    differing = [key for key in keys if len({repr(table.get(key)) for table in tables}) > 1]
    whole = [key.removesuffix(".name") for key in differing if key.endswith(".name")]
    # What a choice of optimizer decides for the budget and the records is no difference of its own.
    derived = ("budget.", "record.") if "optim" in whole else ()
    prefixes = (*(f"{name}." for name in whole), *derived)
    return [*whole, *(key for key in differing if not key.startswith(prefixes))]


def show(value: Any) -> str:
    """A value as an override shows it."""
    if isinstance(value, float):
        return f"{value:g}"
    return "null" if value is None else str(value).replace(" ", "")
