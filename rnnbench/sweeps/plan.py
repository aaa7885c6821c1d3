"""sweep.json: the plan of a sweep, written before its first update and read when the sweep is resumed."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rnnbench.config.classes import places_of
from rnnbench.config.errors import ConfigError
from rnnbench.config.launcher_settings import AUTO, LauncherSettings, check_settings
from rnnbench.config.objects import to_dict
from rnnbench.config.schema import Config
from rnnbench.config.stored import config_from, schema_names
from rnnbench.config.validate import fields_of
from rnnbench.records import RecordError
from rnnbench.records.folder_names import job_folder
from rnnbench.records.growing_file import reason
from rnnbench.records.lock import locked
from rnnbench.records.plain_file import read_file
from rnnbench.records.summary import SWEEP_FILE_NAME, SWEEP_FOLDERS
from rnnbench.records.whole_file import replace_file
from rnnbench.run.job_folders import Job

FORMAT = 1


@dataclass(frozen=True)
class GroupPlan:
    """The jobs of one batched run.

    Attributes:
        folders: Folder of each job, relative to the folder of the sweep.
        values: Values of each job for the keys in which jobs differ: dotted key -> value.
        config: Configuration of the first job, as nested dictionaries.
        schema: Dotted key of every choice in the configuration -> name of its dataclass.
        label: Values that distinguish it from other groups, for display.
        split_into: Numbers of the two groups that replaced it; empty if it was not split.
        classes: Class that is not part of rnnbench -> folder it was imported from.
    """

    folders: Sequence[str]
    values: Sequence[Mapping[str, Any]]
    config: Mapping[str, Any]
    schema: Mapping[str, str]
    label: str = ""
    split_into: Sequence[int] = ()
    classes: Mapping[str, str] = field(default_factory=dict)

    def configs(self) -> list[Config]:
        """The configuration of each job."""
        return [config_from(_with_values(self.config, values), self.schema) for values in self.values]

    def part(self, rows: Sequence[int]) -> "GroupPlan":
        """The plan of some jobs of the group."""
        return replace(self, folders=[self.folders[row] for row in rows], values=[self.values[row] for row in rows])


@dataclass(frozen=True)
class SweepPlan:
    """All batched runs of a sweep.

    Attributes:
        folder: Folder of the sweep.
        settings: Settings of the launcher.
        groups: Plan of each group, in the order of their numbers.
        created: Start of the sweep, as ISO 8601.
        overrides: Overrides of the sweep, as typed.
    """

    folder: Path
    settings: LauncherSettings
    groups: Sequence[GroupPlan]
    created: str
    overrides: Sequence[str]

    def numbers(self) -> list[int]:
        """Numbers of the groups to run."""
        return [number for number, group in enumerate(self.groups) if not group.split_into]

    def checkpoint(self, number: int) -> Path:
        """The checkpoint file with the jobs of a group that are still training."""
        return self.folder / "groups" / f"{number}.pt"

    def jobs(self, number: int) -> list[Job]:
        """The jobs of a group."""
        group = self.groups[number]
        return [Job(config, self.folder / name) for config, name in zip(group.configs(), group.folders, strict=True)]

    def tables(self, number: int) -> list[dict[str, Any]]:
        """Return all keys of each job of a group: dotted key -> value."""
        group = self.groups[number]
        shared = {key: value for key, value, _ in fields_of(config_from(group.config, group.schema))}
        return [{**shared, **values} for values in group.values]

    def extended(self, groups: Sequence[GroupPlan]) -> "SweepPlan":
        """The plan with further groups."""
        return replace(self, groups=(*self.groups, *groups))

    def split(self, number: int, halves: Sequence[Sequence[int]]) -> "SweepPlan":
        """The plan with a group split into parts.

        Args:
            number: Number of the group.
            halves: Indices of the jobs in each part.
        """
        group = self.groups[number]
        new = [len(self.groups) + part for part in range(len(halves))]
        groups = [*self.groups, *(group.part(rows) for rows in halves)]
        groups[number] = replace(group, split_into=new)
        return replace(self, groups=groups)

    def write(self) -> None:
        """Replace sweep.json atomically: a reader finds the old or the new file, never a part of it.

        Raises:
            RecordError: It cannot be written.
        """
        contents = {
            "format": FORMAT,
            "created": self.created,
            "overrides": list(self.overrides),
            "launcher": asdict(self.settings),
            "groups": [asdict(group) for group in self.groups],
        }
        replace_file(self.folder / SWEEP_FILE_NAME, json.dumps(contents, indent=1) + "\n")


@contextmanager
def changing_plan(folder: Path) -> Iterator[SweepPlan]:
    """Lock and read the plan on disk, so that only one process at a time changes it."""
    with locked(folder / "groups" / "plan.lock", f"the plan of {folder}", wait=True):
        yield read_plan(folder)


def new_plan(folder: Path, settings: LauncherSettings, overrides: Sequence[str]) -> SweepPlan:
    """A new plan without groups."""
    return SweepPlan(folder, settings, (), time.strftime("%Y-%m-%dT%H:%M:%S%z"), tuple(overrides))


def read_plan(folder: Path) -> SweepPlan:
    """Read sweep.json.

    Raises:
        ConfigError: The file is missing or damaged, or has another format.
    """
    path = folder / SWEEP_FILE_NAME
    try:
        contents = json.loads(read_file(path))
        if contents["format"] != FORMAT:
            raise ConfigError(f"{path} has format {contents['format']}, but this version reads format {FORMAT}")
        for name in SWEEP_FOLDERS:
            job_folder(folder, name)
        groups = [_group_from(folder, group, len(contents["groups"])) for group in contents["groups"]]
        settings = LauncherSettings(**contents["launcher"])
        _check_settings(settings)
        if not all(isinstance(text, str) for text in (contents["created"], *contents["overrides"])):
            raise ValueError("created and overrides must be strings")
        return SweepPlan(folder, settings, groups, contents["created"], contents["overrides"])
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {reason(error)}") from error
    except KeyError as error:
        raise ConfigError(f"{path} is damaged: there is no {error}") from error
    except (RecordError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{path} is damaged: {error}") from error


def group_plan(configs: Sequence[Config], folders: Sequence[str], values: Sequence[Mapping[str, Any]]) -> GroupPlan:
    """The plan of one group.

    Args:
        configs: Configurations of the jobs.
        folders: Folder of each job, relative to the folder of the sweep.
        values: Values of each job, from `rnnbench.sweeps.grouping.replica_values`.
    """
    first = configs[0]
    return GroupPlan(folders, values, to_dict(first), schema_names(first), classes=places_of([first]))


def _group_from(folder: Path, contents: Mapping[str, Any], num_groups: int) -> GroupPlan:
    """Read a group of a sweep.json, and check it before the sweep starts.

    Raises:
        KeyError, ValueError, TypeError, AttributeError, RecordError: It is damaged.
    """
    group = GroupPlan(**contents)
    for name in group.folders:
        job_folder(folder, name)
    if len(set(group.folders)) != len(group.folders):
        raise ValueError("the folders of a group must differ")
    if not 0 < len(group.folders) == len(group.values):
        raise ValueError(f"a group has {len(group.folders)} folders and the values of {len(group.values)} jobs")
    if not set(group.split_into) <= set(range(num_groups)):
        raise ValueError(f"a group is split into {group.split_into}, but there are {num_groups} groups")
    if not isinstance(group.label, str) or not isinstance(group.classes, dict):
        raise ValueError("the label of a group must be a string, its classes keys and values")
    group.configs()
    return group


def _check_settings(settings: LauncherSettings) -> None:
    """Check the launcher's settings from sweep.json.

    Raises:
        ValueError: A setting is invalid.
    """
    try:
        check_settings(settings)
    except ConfigError as error:
        raise ValueError(str(error)) from error
    if settings.backend == AUTO or settings.processes == AUTO:
        raise ValueError("the launcher's backend and processes must not be auto")


def _with_values(tree: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A nested configuration with the values of some dotted keys replaced."""
    changed = dict(tree)
    for key, value in values.items():
        first, dot, rest = key.partition(".")
        if first not in changed:
            raise KeyError(key)
        changed[first] = _with_values(changed[first], {rest: value}) if dot else value
    return changed
