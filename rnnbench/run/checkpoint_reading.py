"""Checkpoints that runs go on from: found, and checked against what they are of, before anything is written."""

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
from rnnbench.records.summary import STATUSES
from rnnbench.run.schedule import record_columns
from rnnbench.run.setup import RunSetup
from rnnbench.training.checkpoint import load_checkpoint, previous_checkpoint
from rnnbench.training.replica import Snapshot

Contents = dict[str, Any]
"""What a checkpoint holds."""

Loaded = TypeVar("Loaded")


# ---------------------------------------------------------------- the latest one, or the one before it


def load_latest(path: Path, load: Callable[[Path], Loaded]) -> tuple[Loaded, str | None]:
    """Read the latest checkpoint from which a run can be resumed.

    Args:
        path: Path of the latest one.
        load: Reads a checkpoint and checks it.

    Returns:
        What `load` returned for the latest one, or else for the one before it; and why the latest one cannot be used
        (None: it is used).

    Raises:
        RecordError, ConfigError: Neither can be; told of the latest one.
    """
    try:
        return load(path), None
    except (RecordError, ConfigError) as error:
        if path.is_dir() or not previous_checkpoint(path).exists():  # a folder cannot be replaced by the next one
            raise
        try:
            return load(previous_checkpoint(path)), str(error)
        except (RecordError, ConfigError):
            raise error from None


def load_job(path: Path) -> Contents:
    """Read the checkpoint of a run by itself, or of a job that has ended.

    Raises:
        RecordError: It is missing or damaged, or is that of a group.
    """
    contents = load_checkpoint(path)
    kinds = {"config": dict, "schema": dict, "records": list}
    if not all(isinstance(contents.get(key), kind) for key, kind in kinds.items()):
        raise RecordError(f"{path} is not the checkpoint of a run by itself")
    if contents.get("status") not in STATUSES or len(contents["replicas"]) != 1:
        raise RecordError(f"{path} is damaged: it is not of one run that stands in one of the ways that there are")
    _check_common(path, contents)
    return contents


def load_group(path: Path, names: Sequence[str]) -> Contents:
    """Read the checkpoint of a group of a sweep.

    Args:
        path: The file.
        names: Folders of the jobs of the group.

    Raises:
        RecordError: It is missing, damaged, or of something else.
    """
    contents = load_checkpoint(path)
    jobs = contents.get("jobs")
    if not isinstance(jobs, list) or len(set(map(str, jobs))) < len(jobs) or not all(job in names for job in jobs):
        raise RecordError(f"{path} is not the checkpoint of this group")
    if len(jobs) != len(contents["replicas"]):
        raise RecordError(f"{path} is damaged: it does not have a replica for each job")
    aggregate = contents.setdefault("aggregate", None)
    if aggregate is not None and not (isinstance(aggregate, list) and all(map(_are_lengths, aggregate))):
        raise RecordError(f"{path} is damaged: it does not tell the lengths of the aggregate's files")
    _check_common(path, contents)
    return contents


def _check_common(path: Path, contents: Contents) -> None:
    """Check what both kinds of checkpoints have beside the snapshot."""
    records, threads = contents.get("records"), contents.get("threads")
    if not isinstance(records, list) or len(records) != len(contents["replicas"]):
        raise RecordError(f"{path} is damaged: it does not tell the lengths of each job's files")
    if not all(map(_are_lengths, records)):
        raise RecordError(f"{path} is damaged: the lengths of a job's files in it are none")
    if type(threads) is not int or not 1 <= threads <= MOST_THREADS:
        raise RecordError(f"{path} is damaged: threads={threads!r} in it is no number of threads")
    if not isinstance(contents.get("recurrence"), str | None):
        raise RecordError(f"{path} is damaged: its recurrence is no text")


def _are_lengths(lengths: object) -> bool:
    """Whether these are files of one run's records, and bytes of each."""
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
    """The configuration of a run in its records, checked before anything that it names is imported.

    Args:
        contents: Holds it, the dataclasses of its choices, and the folders of its classes, under `config`, `schema` and
            `classes`.
        where: The file, for the message.
        trusted: The folders and modules whose classes may be imported.
        overrides: What changes as the run goes on, as KEY=VALUE; None: it does not go on.
        changes: Values of keys in place of the run's own.

    Raises:
        ConfigError: An override is wrong, or a class may not be imported.
        RecordError: The configuration is damaged, or that of another version of rnnbench.
    """
    try:
        config = config_from({**contents["config"], **changes}, contents["schema"])
        validate_stored(config)
    except (TypeError, ValueError, ConfigError) as error:
        problem = f"the configuration in {where} is damaged, or of another version of rnnbench"
        raise RecordError(f"{problem}: {error}") from error
    check_trusted(where.parent, [config], contents.get("classes"), trusted)
    return config if overrides is None else with_overrides(config, overrides)


# ---------------------------------------------------------------- what it has to suit


@dataclass(frozen=True)
class Form:
    """What the checkpoints and the records of a run have to look like, by its configuration.

    Attributes:
        theta: Parameters of one replica, (1, P), of any values.
        optimizer_state: The optimizer's state of one replica, each (1, ...), of any values.
        header: First line of metrics.csv.
    """

    theta: torch.Tensor
    optimizer_state: State
    header: bytes

    @classmethod
    def of(cls, setup: RunSetup) -> Self:
        """The form of a run with these objects."""
        theta = torch.zeros(1, setup.built.model.num_parameters, dtype=setup.dtype)
        columns = record_columns(setup.config, setup.built)
        return cls(theta, setup.built.optimizer.initial_state(theta), header(columns))

    def check(self, path: Path, snapshot: Snapshot) -> None:
        """Check the tensors of a checkpoint.

        Args:
            path: The checkpoint.
            snapshot: What it holds.

        Raises:
            RecordError: One is missing or has another shape or type.
        """
        state, previous = snapshot.optimizer_state, snapshot.previous
        if state.keys() != self.optimizer_state.keys() or (previous and previous.keys() != {"theta", "gradient"}):
            raise RecordError(f"{path} does not suit its configuration: its tensors have other names")
        tensors = [("theta", snapshot.theta, self.theta)]
        tensors += [(name, tensor, self.optimizer_state[name]) for name, tensor in state.items()]
        tensors += [(f"previous {name}", tensor, self.theta) for name, tensor in previous.items()]
        for name, tensor, expected in tensors:
            if tensor.shape[1:] != expected.shape[1:] or tensor.dtype != expected.dtype:
                raise RecordError(
                    f"{path} does not suit its configuration: {name} of a replica is {_told(tensor)}, "
                    f"expected {_told(expected)}"
                )


def _told(tensor: torch.Tensor) -> str:
    """The shape and type of a tensor, in words."""
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape[1:])}"
