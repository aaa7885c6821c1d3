"""Reads a run or a sweep from its folder."""

from rnnbench.api.arguments import Folder, folder_of
from rnnbench.api.run import Run
from rnnbench.api.sweep import Sweep
from rnnbench.api.tuning import Tuning
from rnnbench.config.errors import ConfigError
from rnnbench.config.given_paths import no_folder
from rnnbench.records import is_run_folder, is_sweep_folder
from rnnbench.records.tuning import is_tuning_folder


def load(folder: Folder) -> Run | Sweep | Tuning:
    """Read a run, a sweep or a tuning; nothing is trained, written or locked.

    Args:
        folder: Folder of a run, a sweep or a tuning, or another one that contains runs.

    Returns:
        A `Run` for the folder of a run, a `Tuning` for that of a tuning, else a `Sweep`.

    Raises:
        ConfigError: The argument is no path, there is no such folder, or no run in it.
        RecordError: The summary of the run is missing or damaged.
    """
    path = folder_of("folder", folder)
    if not path.is_dir():
        raise ConfigError(no_folder(path))
    if is_tuning_folder(path):
        return Tuning(path)
    if is_run_folder(path) and not is_sweep_folder(path):
        return Run(path)
    sweep = Sweep(path)
    if not sweep.runs and not sweep.waiting:
        problem = next((f"{place}: {text}" for place, text in sweep.problems.items()), f"there is no run in {path}")
        raise ConfigError(problem)
    return sweep
