"""Reads checkpoints and checks them against the configuration of their run before anything is written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

import torch

from rnnbench.config.errors import ConfigError
from rnnbench.config.schema import Config
from rnnbench.config.stored import MOST_THREADS, config_from, validate_stored, with_overrides
from rnnbench.config.trust import Trusted, check_trusted
from rnnbench.optim.base import State
from rnnbench.records import RecordError
from rnnbench.records.continuing import is_record_name
from rnnbench.records.metrics_csv import header
from rnnbench.records.summary import CHECKPOINT, STATUSES
from rnnbench.run.schedule import record_columns
from rnnbench.run.setup import RunSetup
from rnnbench.training.checkpoint import load_checkpoint, previous_checkpoint
from rnnbench.training.replica import Snapshot

Contents = dict[str, Any]
"""The contents of a checkpoint."""

Loaded = TypeVar("Loaded")


# ---------------------------------------------------------------- the latest checkpoint, or the previous one


def has_checkpoint(folder: Path) -> bool:
    """Whether a run folder holds a checkpoint, be it only the previous one."""
    path = folder / CHECKPOINT
    return path.exists() or previous_checkpoint(path).exists()


def load_latest(path: Path, load: Callable[[Path], Loaded]) -> tuple[Loaded, str | None]:
    """Read the latest usable checkpoint.

    Args:
        path: Path of the latest checkpoint.
        load: Function that reads a checkpoint and checks it.

    Returns:
        The result of `load` for the latest checkpoint or, if that cannot be used, for the previous one; and the reason
        why the latest one cannot be used (None: it is used).

    Raises:
        RecordError, ConfigError: Neither checkpoint can be used; the error is that of the latest one.
    """
    try:
        return load(path), None
    except (RecordError, ConfigError) as error:
        if path.is_dir() or not previous_checkpoint(path).exists():  # the next checkpoint cannot replace a folder
            raise
        try:
            return load(previous_checkpoint(path)), str(error)
        except (RecordError, ConfigError):
            raise error from None


def load_job(path: Path) -> Contents:
    """Read the checkpoint of a single run, or of a job of a sweep that has ended.

    Raises:
        RecordError: The checkpoint is missing or damaged, or is that of a group.
    """
    contents = load_checkpoint(path)
    kinds = {"config": dict, "schema": dict, "records": list}
    if not all(isinstance(contents.get(key), kind) for key, kind in kinds.items()):
        raise RecordError(f"{path} is not the checkpoint of a single run")
    if contents.get("status") not in STATUSES or len(contents["replicas"]) != 1:
        raise RecordError(f"{path} is damaged: it has no valid status, or not exactly one replica")
    _check_common(path, contents)
    return contents


def load_group(path: Path, names: Sequence[str]) -> Contents:
    """Read the checkpoint of a group of a sweep.

    Args:
        path: Path of the checkpoint.
        names: Folders of the jobs of the group.

    Raises:
        RecordError: The checkpoint is missing, damaged, or not that of this group.
    """
    contents = load_checkpoint(path)
    jobs = contents.get("jobs")
    if not isinstance(jobs, list) or len(set(map(str, jobs))) < len(jobs) or not all(job in names for job in jobs):
        raise RecordError(f"{path} is not the checkpoint of this group")
    if len(jobs) != len(contents["replicas"]):
        raise RecordError(f"{path} is damaged: it does not have one replica per job")
    aggregate = contents.setdefault("aggregate", None)
    if aggregate is not None and not (isinstance(aggregate, list) and all(map(_are_lengths, aggregate))):
        raise RecordError(f"{path} is damaged: the lengths of the aggregate's files are missing or wrong")
    _check_common(path, contents)
    return contents


def _check_common(path: Path, contents: Contents) -> None:
    """Check the entries that both kinds of checkpoints have besides the snapshot."""
    records, threads = contents.get("records"), contents.get("threads")
    if not isinstance(records, list) or len(records) != len(contents["replicas"]):
        raise RecordError(f"{path} is damaged: it does not list the record files of each job")
    if not all(map(_are_lengths, records)):
        raise RecordError(f"{path} is damaged: the lengths of a job's record files are wrong")
    if type(threads) is not int or not 1 <= threads <= MOST_THREADS:
        raise RecordError(f"{path} is damaged: threads={threads!r} is not a number of threads")
    if not isinstance(contents.get("recurrence"), str | None):
        raise RecordError(f"{path} is damaged: recurrence is not a string")


def _are_lengths(lengths: object) -> bool:
    """Whether a value maps names of record files to their lengths in bytes."""
    if not isinstance(lengths, dict):
        return False
    return all(is_record_name(name) and isinstance(size, int) and size >= 0 for name, size in lengths.items())


def stored_config(
    contents: Mapping[str, Any],
    where: Path,
    trusted: Trusted,
    overrides: Sequence[str] | None = None,
    **changes: Any,
) -> Config:
    """Rebuild the configuration of a run from its records; it is checked before any class that it names is imported.

    Args:
        contents: Contents of the file, with the entries `config`, `schema` (dataclasses of the choices) and `classes`
            (folders of the classes).
        where: Path of the file, for messages.
        trusted: Folders and modules whose classes may be imported.
        overrides: Changes for the resumed run, as KEY=VALUE; None: the run is not resumed.
        changes: Values that replace those of the run.

    Raises:
        ConfigError: An override is wrong, or a class may not be imported.
        RecordError: The configuration is damaged, or written by an incompatible version of rnnbench.
    """
    try:
        tree = {**contents["config"], **changes}
        config = config_from(tree, contents["schema"], is_continued=overrides is not None)
        validate_stored(config)
    except (TypeError, ValueError, ConfigError) as error:
        problem = f"the configuration in {where} is damaged, or was written by an incompatible version of rnnbench"
        raise RecordError(f"{problem}: {error}") from error
    check_trusted(where.parent, [config], contents.get("classes"), trusted)
    return config if overrides is None else with_overrides(config, overrides)


# ---------------------------------------------------------------- what a checkpoint has to match


@dataclass(frozen=True)
class Form:
    """The form that a configuration requires of the checkpoints and records of its run.

    Attributes:
        theta: Parameters of one replica, (1, P); the values do not matter.
        optimizer_state: Optimizer state of one replica, (1, ...) each; the values do not matter.
        header: First line of metrics.csv.
    """

    theta: torch.Tensor
    optimizer_state: State
    header: bytes

    @classmethod
    def of(cls, setup: RunSetup) -> Self:
        """Return the form for a run with these objects."""
        theta = torch.zeros(1, setup.built.model.num_parameters, dtype=setup.dtype)
        columns = record_columns(setup.config, setup.built)
        return cls(theta, setup.built.optimizer.first_state(theta), header(columns))

    def check(self, path: Path, snapshot: Snapshot) -> None:
        """Check the tensors of a checkpoint.

        Args:
            path: Path of the checkpoint, for messages.
            snapshot: Snapshot in the checkpoint.

        Raises:
            RecordError: A tensor is missing or has another shape or dtype.
        """
        state, previous = snapshot.optimizer_state, snapshot.previous
        if state.keys() != self.optimizer_state.keys() or (previous and previous.keys() != {"theta", "gradient"}):
            raise RecordError(f"{path} does not match its configuration: its tensors have other names")
        tensors = [("theta", snapshot.theta, self.theta)]
        tensors += [(name, tensor, self.optimizer_state[name]) for name, tensor in state.items()]
        tensors += [(f"previous {name}", tensor, self.theta) for name, tensor in previous.items()]
        for name, tensor, expected in tensors:
            if tensor.shape[1:] != expected.shape[1:] or tensor.dtype != expected.dtype:
                raise RecordError(
                    f"{path} does not match its configuration: {name} of a replica is {_description(tensor)}, "
                    f"expected {_description(expected)}"
                )


def _description(tensor: torch.Tensor) -> str:
    """Describe dtype and shape of one replica's tensor."""
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape[1:])}"
