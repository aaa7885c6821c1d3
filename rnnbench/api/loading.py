"""Reads a run or a sweep from its folder."""

import os
from pathlib import Path

from rnnbench.api.run import Run
from rnnbench.api.sweep import Sweep
from rnnbench.config.errors import ConfigError
from rnnbench.records import is_run_folder, is_sweep_folder


def load(folder: str | os.PathLike[str]) -> Run | Sweep:
    """Read a run or a sweep; nothing is trained, written or locked.

    Args:
        folder: Folder of a run or of a sweep, or another one that contains runs.

    Returns:
        A `Run` for the folder of a run, else a `Sweep`.

    Raises:
        ConfigError: There is no such folder, or no run in it.
        RecordError: The summary of the run is missing or damaged.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise ConfigError(f"there is no folder {path}")
    if is_run_folder(path) and not is_sweep_folder(path):
        return Run(path)
    sweep = Sweep(path)
    if not sweep.runs and not sweep.waiting:
        problem = next((f"{place}: {text}" for place, text in sweep.problems.items()), f"there is no run in {path}")
        raise ConfigError(problem)
    return sweep
