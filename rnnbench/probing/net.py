"""Reads the net that a run has saved."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from rnnbench.config.build import build
from rnnbench.config.errors import ConfigError
from rnnbench.config.given_paths import no_folder
from rnnbench.config.schema import Config
from rnnbench.config.trust import NOTHING, Trusted
from rnnbench.models.base import Model
from rnnbench.optim.first_order import AVERAGE
from rnnbench.records import RecordError, is_run_folder, is_sweep_folder, read_summary
from rnnbench.records.summary import CHECKPOINT, FILE_NAME
from rnnbench.run.checkpoint_reading import stored_config
from rnnbench.sweeps.last_checkpoint import read_last_checkpoint
from rnnbench.sweeps.plan import read_plan


@dataclass(frozen=True)
class SavedNet:
    """The net of one run.

    Attributes:
        model: The model.
        parameters: Its parameters by name, in the shapes of the model's layout.
        config: Configuration of the run.
        update: Number of updates at the checkpoint.
        warning: Sentence that says why the latest checkpoint is not used; None: it is used.
    """

    model: Model
    parameters: Mapping[str, Tensor]
    config: Config
    update: int
    warning: str | None


def read_saved_net(folder: Path, trusted: Trusted = NOTHING, *, average: bool = False) -> SavedNet:
    """Read the latest net of a run.

    Args:
        folder: Folder of a run, or of a job of a sweep.
        trusted: Folders and modules whose classes may be imported.
        average: Whether to read the average of the weights instead.

    Raises:
        ConfigError: The folder is no run, a class may not be imported, or the run keeps no average.
        RecordError: The run has no checkpoint yet, or it is damaged.
    """
    if is_sweep_folder(folder):
        jobs = [name for group in read_plan(folder).groups for name in group.folders]
        raise ConfigError(f"{folder} is a sweep: name the folder of one of its jobs, such as {folder / min(jobs)}")
    if not is_run_folder(folder):
        raise ConfigError(f"{folder} holds no run" if folder.is_dir() else no_folder(folder))
    contents, problem = read_last_checkpoint(folder)
    where = folder / CHECKPOINT
    if "config" not in contents:  # the checkpoint of a group of a sweep
        summary, where = read_summary(folder), folder / FILE_NAME
        contents |= {"config": summary.config, "schema": summary.schema, "classes": summary.classes}
    config = stored_config(contents, where, trusted, probe={}, device="cpu", threads=1)
    model: Model = build([config]).model
    if average and AVERAGE not in contents["optimizer_state"]:
        raise ConfigError(f"{folder} keeps no average of its weights: it was trained with optim.average_decay=0")
    (theta,) = contents["optimizer_state"][AVERAGE] if average else contents["theta"]
    if theta.shape != (model.num_parameters,) or theta.dtype != getattr(torch, config.dtype):
        raise RecordError(f"{where} does not match its configuration: its parameters are not those of the net")
    parameters = {name: view[0] for name, view in model.parameters(theta.unsqueeze(0)).items()}
    update = contents["update"]
    warning = problem and f"{problem}; the previous checkpoint is used, after update {update:,}"
    return SavedNet(model, parameters, config, update, warning)
