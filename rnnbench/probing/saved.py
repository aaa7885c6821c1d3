"""Finds the nets that runs have saved."""

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
from rnnbench.records.summary import CHECKPOINT
from rnnbench.reports.finding import find_run_folders
from rnnbench.run.checkpoint_reading import has_checkpoint, load_job, load_latest, stored_config


@dataclass(frozen=True)
class Saved:
    """A run with a checkpoint.

    Attributes:
        folder: Run folder.
        out: Folder of the results.
        config: Configuration of the run, with the requested probes in place of its own.
        checkpoint: Path of the checkpoint: the latest one or, if that cannot be used, the previous one.
        update: Number of updates at the checkpoint.
        status: Status of the run at the checkpoint.
        num_parameters: Number of parameters of the saved net.
        warning: Sentence that says why the latest checkpoint is not used; None: it is used.
    """

    folder: Path
    out: Path
    config: Config
    checkpoint: Path
    update: int
    status: str
    num_parameters: int
    warning: str | None


def find_saved(options: Options, probe: Any) -> tuple[list[Saved], int]:
    """Find all runs in some folders that have a checkpoint of their own.

    Args:
        options: Options of the call, with the folders.
        probe: Requested probes by name, as in a `Config`.

    Returns:
        The runs, and the number of runs without a checkpoint, such as jobs of a sweep that is not finished.

    Raises:
        ConfigError: A folder holds no checkpoint, or one that names a class that may not be imported.
        RecordError: Neither the latest nor the previous checkpoint of a run can be used.
    """
    runs: list[Path] = []
    num_without = 0
    for top in options.folders:
        found = find_run_folders([top])
        own = [folder for folder in found.runs if has_checkpoint(folder)]
        if not own:
            raise ConfigError(f"{top} holds no {CHECKPOINT}, neither of a run nor of the jobs of a sweep")
        runs += [folder for folder in own if folder not in runs]
        num_without += len(found.runs) + len(found.waiting) - len(own)
    outs = _result_folders(options.out, runs)
    for folder in (*runs, *outs):
        check_utf8(folder)
    saved = [_read(folder, out, probe, options.trusted) for folder, out in zip(runs, outs, strict=True)]
    return saved, num_without


def _result_folders(out: Path | None, runs: Sequence[Path]) -> list[Path]:
    """Return the result folder of each run; for several runs these are numbered subfolders of `out`."""
    if out is None:
        return [folder / FOLDER_NAME for folder in runs]
    return [out] if len(runs) == 1 else [out / f"{number}_{folder.name}" for number, folder in enumerate(runs)]


def _read(folder: Path, out: Path, probe: Any, trusted: Trusted) -> Saved:
    """Read the latest usable checkpoint of a run."""

    def read(path: Path) -> Saved:
        checkpoint = load_job(path)
        config = stored_config(checkpoint, path, trusted, probe={}, device="cpu", threads=1)
        theta = checkpoint["theta"]
        if theta.dim() != 2 or theta.dtype != getattr(torch, config.dtype):
            raise RecordError(f"{path} does not match its configuration: its parameters are not {config.dtype} vectors")
        config = dataclasses.replace(config, probe=probe)
        update, status = checkpoint["update"], checkpoint["status"]
        return Saved(folder, out, config, path, update, status, theta.shape[1], warning=None)

    saved, problem = load_latest(folder / CHECKPOINT, read)
    if problem is not None:
        warning = f"{problem}; the previous checkpoint is probed, after update {saved.update}"
        saved = dataclasses.replace(saved, warning=warning)
    return saved
