"""The last checkpoint of a run, wherever it lies: in its own folder, or in that of its sweep."""

import math
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rnnbench.records import RecordError, sweep_of
from rnnbench.records.summary import CHECKPOINT
from rnnbench.run.checkpoint_reading import Contents, has_checkpoint, load_group, load_job, load_latest
from rnnbench.sweeps.plan import read_plan
from rnnbench.sweeps.remaining import select_jobs
from rnnbench.training.checkpoint import previous_checkpoint


def read_last_checkpoint(folder: Path) -> tuple[Contents, str | None]:
    """Read the last checkpoint of a run.

    A job of a sweep has one of its own when it has ended. Before that, and when it is trained further, its state is in
    the checkpoint of its group.

    Args:
        folder: Run folder.

    Returns:
        The contents, of this one replica; and the reason why the latest checkpoint cannot be used, so that these are
        the contents of the one before it (None: it is used).

    Raises:
        RecordError: There is no checkpoint, or it is damaged.
        ConfigError: The plan of the sweep is damaged.
    """
    known = []
    if has_checkpoint(folder):
        known.append(load_latest(folder / CHECKPOINT, load_job))
    known += _in_sweep(folder)
    if not known:
        raise RecordError(f"{folder} has no checkpoint yet")
    return max(known, key=lambda loaded: int(loaded[0]["update"]))


def _in_sweep(folder: Path) -> list[tuple[Contents, str | None]]:
    """The contents of the group's checkpoint for a job of a sweep, as above; empty if there are none."""
    sweep = sweep_of(folder)
    if sweep is None:
        return []
    plan, name = read_plan(sweep), os.path.relpath(os.path.realpath(folder), sweep)
    for number in plan.numbers():
        path, names = plan.checkpoint(number), plan.groups[number].folders
        if name in names and (path.exists() or previous_checkpoint(path).exists()):
            contents, problem = load_latest(path, partial(load_group, names=names))
            jobs = contents["jobs"]
            return [(select_jobs(contents, [jobs.index(name)]), problem)] if name in jobs else []
    return []


def parameters_of(contents: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """The parameters of one replica by name, from the contents of a checkpoint of this replica alone.

    Raises:
        RecordError: The checkpoint does not say how they lie in theta.
    """
    (theta,), layout = contents["theta"], contents.get("layout")
    try:
        shapes = {str(name): tuple(map(int, shape)) for name, shape in layout.items()}  # type: ignore[union-attr]
        parts = theta.split([math.prod(shape) for shape in shapes.values()])
        return {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise RecordError(f"the checkpoint is damaged: its layout does not match its parameters: {error}") from error
