"""The nets that runs have saved: which there are, and what each was."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rnnbench.config.errors import ConfigError
from rnnbench.config.folders import check_utf8
from rnnbench.config.schema import Config
from rnnbench.config.trust import Trusted
from rnnbench.probing.options import FOLDER_NAME, Options
from rnnbench.records import RecordError
from rnnbench.report.finding import find_run_folders
from rnnbench.run.checkpoint_reading import load_job, stored_config
from rnnbench.run.job_folders import CHECKPOINT


@dataclass(frozen=True)
class Saved:
    """A run with a checkpoint.

    Attributes:
        folder: Of the run.
        out: Where what is found of it goes.
        config: Of the run, its probes those that are wanted.
        update: Of the checkpoint.
        status: Of the run then.
        num_parameters: Of the saved net.
    """

    folder: Path
    out: Path
    config: Config
    update: int
    status: str
    num_parameters: int


def find_saved(options: Options, probe: Any) -> tuple[list[Saved], int]:
    """Every run in some folders that has a checkpoint of its own.

    Args:
        options: Name the folders.
        probe: The wanted probes, by name, as of a `Config`.

    Returns:
        The runs, and how many others have none, such as jobs of a sweep that is not done.

    Raises:
        ConfigError: A folder holds no checkpoint, or one that cannot be read or names a class that may not be imported.
    """
    runs: list[Path] = []
    num_without = 0
    for top in options.folders:
        found = find_run_folders([top])
        own = [folder for folder in found.runs if (folder / CHECKPOINT).is_file()]
        if not own:
            raise ConfigError(f"{top} holds no {CHECKPOINT}, neither of a run nor of the jobs of a sweep")
        runs += [folder for folder in own if folder not in runs]
        num_without += len(found.runs) + len(found.waiting) - len(own)
    places = _places(options.out, runs)
    for folder in (*runs, *places):
        check_utf8(folder)
    saved = [_read(folder, place, probe, options.trusted) for folder, place in zip(runs, places, strict=True)]
    return saved, num_without


def _places(out: Path | None, runs: Sequence[Path]) -> list[Path]:
    """Where each run's results go; below one folder in the order of the runs, where there are several."""
    if out is None:
        return [folder / FOLDER_NAME for folder in runs]
    return [out] if len(runs) == 1 else [out / f"{number}_{folder.name}" for number, folder in enumerate(runs)]


def _read(folder: Path, out: Path, probe: Any, trusted: Trusted) -> Saved:
    """What a run's checkpoint says of it."""
    path = folder / CHECKPOINT
    checkpoint = load_job(path)
    config = stored_config(checkpoint, path, trusted, probe={}, device="cpu", threads=1)
    theta = checkpoint["theta"]
    if theta.dim() != 2 or theta.dtype != getattr(torch, config.dtype):
        raise RecordError(f"{path} does not suit its configuration: its parameters are not {config.dtype} vectors")
    config = dataclasses.replace(config, probe=probe)
    return Saved(folder, out, config, checkpoint["update"], checkpoint["status"], theta.shape[1])
