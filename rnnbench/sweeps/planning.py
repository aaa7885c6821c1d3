"""Plans the groups of a sweep, and describes the plan in words."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rnnbench.config.build import first_length, shared_values
from rnnbench.config.launcher_settings import AUTO, LauncherSettings
from rnnbench.config.schema import Config
from rnnbench.records.wording import count
from rnnbench.run.machine import max_replicas
from rnnbench.run.setup import RunSetup
from rnnbench.sweeps import grouping
from rnnbench.sweeps.batches import JobBatch
from rnnbench.sweeps.plan import GroupPlan, SweepPlan, group_plan

MAX_LINES = 20
"""Largest number of groups shown one by one before a sweep starts."""

MIN_REPLICAS = 4
"""Least number of replicas in a group that is split to keep more processes busy."""


def plan_groups(
    batches: Sequence[JobBatch], configs: Sequence[Config], folders: Sequence[str], settings: LauncherSettings
) -> list[GroupPlan]:
    """Put jobs into batched runs.

    Args:
        batches: Batches of jobs that can be trained together.
        configs: Configuration of each job.
        folders: Folder of each job, relative to the folder of the sweep.
        settings: Settings of the launcher; backend and processes must not be auto. max_replicas limits the size of a
            group; auto: as many as fit into memory, but few enough to keep all processes busy.
    """
    tables = [shared_values(batch.setup.config) for batch in batches]
    keys = grouping.differences(tables)
    groups = []
    for batch, table in zip(batches, tables, strict=True):
        members = [configs[job] for job in batch.jobs]
        values = grouping.replica_values(members)
        plan = group_plan(members, [folders[job] for job in batch.jobs], values)
        plan = replace(plan, label=grouping.label(table, keys))
        most = _most_replicas(batch.setup, settings)
        at_least = _parts_for_all_processes(len(batch.jobs), len(batches), settings)
        num_parts = max(math.ceil(len(batch.jobs) / most), at_least)
        parts = grouping.split(list(grouping.cells(values).values()), num_parts, most)
        groups += [plan.part(part) for part in parts] if num_parts > 1 else [plan]
    return groups


def plan_lines(plan: SweepPlan, numbers: Sequence[int]) -> Iterator[str]:
    """Describe the groups that will be run, and why they are not merged into one batched run.

    Args:
        plan: Plan of the sweep.
        numbers: Numbers of the groups that will be run.
    """
    groups = [plan.groups[number] for number in numbers]
    num_jobs = sum(len(group.folders) for group in groups)
    yield f"{count(num_jobs, 'job')} in {count(len(groups), 'batched run')}{_order(plan.settings, len(groups))}"
    if len(groups) == 1:
        return
    for number, group in list(zip(numbers, groups, strict=True))[:MAX_LINES]:
        yield f"  group {number}: {count(len(group.folders), 'replica')}{', ' if group.label else ''}{group.label}"
    if len(groups) > MAX_LINES:
        yield f"  and {len(groups) - MAX_LINES} more"
    keys = grouping.differences([shared_values(group.configs()[0]) for group in groups])
    if keys:
        yield f"  not merged: {' and '.join(keys)} must be the same for all replicas of a run"
    if len({group.label for group in groups}) < len(groups):
        limit = plan.settings.max_replicas
        reason = "memory limits the number of replicas" if limit == AUTO else f"max_replicas={limit}"
        if limit == AUTO and plan.settings.backend == "processes":
            reason = f"{plan.settings.processes} processes share jobs and memory"
        if any(first_length(group.configs()[0]) is not None for group in groups):
            reason = "task.first_length trains each job alone"
        groups_in_words = "groups" if not keys else "groups with the same values"
        yield f"  {groups_in_words} could be merged, but {reason}"


def aggregate_names(plan: SweepPlan) -> list[dict[str, list[int]]]:
    """Name the cells of every group uniquely within the sweep.

    Returns:
        For each group: name of the cell -> indices of its jobs, which differ only in the seed.
    """
    seen: dict[str, int] = {}
    named = []
    for group in plan.groups:
        own = {}
        for cell, rows in grouping.cells(group.values).items():
            name = ",".join(part for part in (group.label, cell) if part) or "all"
            seen[name] = seen.get(name, 0) + 1
            own[name if seen[name] == 1 else f"{name} ({seen[name]})"] = rows
        named.append(own)
    return named


def _most_replicas(setup: RunSetup, settings: LauncherSettings) -> int:
    """The largest number of replicas in a group; with a first length, each job has lengths of its own."""
    if first_length(setup.config) is not None:
        return 1
    if settings.max_replicas != AUTO:
        return int(settings.max_replicas)
    num_parallel = int(settings.processes) if settings.backend == "processes" else 1
    return max_replicas(setup.config, setup.built, setup.device, num_parallel)


def _parts_for_all_processes(num_jobs: int, num_groups: int, settings: LauncherSettings) -> int:
    """Number of parts to split a group into so that every process has work."""
    if settings.backend != "processes" or settings.max_replicas != AUTO:
        return 1
    return max(1, min(int(settings.processes) // num_groups, num_jobs // MIN_REPLICAS))


def _order(settings: LauncherSettings, num_groups: int) -> str:
    """The order in which groups run, in words."""
    if num_groups == 1:
        return ""
    if settings.backend == "inline":
        return ", one after another"
    if settings.backend == "processes":
        return f", {min(int(settings.processes), num_groups)} in parallel"
    return f", each a task of {settings.backend}"
