"""Folders of runs and sweeps: checks before any work, and their creation when the work begins."""

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rnnbench.config.errors import ConfigError
from rnnbench.records.lock import FILE_NAME as LOCK
from rnnbench.records.summary import RESERVED_NAMES, is_run_folder, is_sweep_folder, what_is_in
from rnnbench.records.tuning import is_tuning_folder

RUN_DIR, SWEEP_DIR, SUBDIR = "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"


def check_run(folder: Path, *, numbered: bool) -> None:
    """Check the folder of a single run; nothing is created.

    Args:
        folder: Path of the folder; it need not exist.
        numbered: Whether a number is added to the name if the folder exists.

    Raises:
        ConfigError: The folder cannot be created or written, contains a run or a sweep, or lies inside one.
    """
    _check_place(folder, RUN_DIR, numbered=numbered)
    if not numbered:
        check_no_runs_below(folder, RUN_DIR)


def check_sweep(folder: Path, *, numbered: bool) -> None:
    """Check the folder of a sweep like `check_run`, except for its contents: see `check_job_folders`."""
    _check_place(folder, SWEEP_DIR, numbered=numbered)


def _check_place(folder: Path, key: str, *, numbered: bool) -> None:
    """Check the place of a folder, but not its contents."""
    if numbered:
        check_writable(folder.parent, key)
    else:
        check_folder(folder, key)
    check_apart(folder, key)


def check_utf8(folder: Path) -> None:
    """Check that the path of a folder is valid UTF-8, as checkpoints, YAML and TensorBoard events require.

    Raises:
        ConfigError: The path is not valid UTF-8.
    """
    path = folder.absolute()
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{path} cannot be used: its name is not UTF-8 text; rename it, or move elsewhere") from error


def check_folder(folder: Path, key: str) -> None:
    """Check that a run or a sweep can be written into a folder; nothing is created.

    Args:
        folder: Path of the folder; it need not exist.
        key: Key that sets the path, for the message.

    Raises:
        ConfigError: The folder already contains a run or a sweep, is a file, or cannot be created or written.
    """
    check_writable(folder, key)
    for what, is_one in (("run", is_run_folder), ("sweep", is_sweep_folder)):
        if is_one(folder):
            raise ConfigError(
                f"{folder} holds a {what} already: rnnbench resume {folder} continues it; or choose another {key}"
            )


def check_writable(folder: Path, key: str) -> None:
    """Check that a folder exists or can be created, and is writable; see `check_folder`."""
    check_utf8(folder)
    try:
        existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    except OSError as error:
        raise ConfigError(f"{key}: {folder} cannot be used: {error.strerror}") from error
    if not existing.is_dir():
        raise ConfigError(f"{key}: {existing} is not a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"{key}: {folder} cannot be written: no permission in {existing}")


def check_apart(folder: Path, key: str) -> None:
    """Check that a folder does not lie inside a run or a sweep, where `resume` and `report` would not find both.

    Args:
        folder: Path of the folder; it need not exist.
        key: Key or option that sets the path, for the message.

    Raises:
        ConfigError: The folder lies inside a run or a sweep.
    """
    for parent in _resolved(folder).parents:
        what = what_is_in(parent)
        if what is not None:
            raise ConfigError(f"{folder} lies inside the {what} {parent}: choose another {key}")


def check_no_runs_below(folder: Path, key: str) -> None:
    """Check that no folder below a folder contains a run or a sweep; the folder itself is not checked.

    Args:
        folder: Path of the folder; it need not exist.
        key: Key that sets the path, for the message.

    Raises:
        ConfigError: There is a run or a sweep below the folder.
    """
    for name, inner, _ in os.walk(folder):
        inner[:] = [each for each in inner if not each.startswith(".")]
        path = Path(name)
        what = None if path == folder else what_is_in(path)
        if what is not None and path.parent == folder and is_tuning_folder(folder):
            raise ConfigError(f"{folder} holds a search already: rnnbench resume {folder} continues it")
        if what is not None:
            raise ConfigError(f"{folder} contains the {what} {path}: choose another {key}")


def newest_in(folder: Path, most: int = 3) -> list[Path]:
    """The newest runs and sweeps below a folder, newest first; jobs of sweeps are not included.

    Args:
        folder: Path of the folder; it need not exist.
        most: Largest number of results.
    """
    modified: dict[Path, float] = {}
    for name, inner, _ in os.walk(folder):
        path = Path(name)
        if what_is_in(path) is None:
            inner[:] = [each for each in inner if not each.startswith(".")]
        else:
            inner.clear()
            modified[path] = path.stat().st_mtime
    return sorted(modified, key=modified.__getitem__, reverse=True)[:most]


def check_job_folders(sweep: Path, subdirs: Sequence[str], *, is_new: bool, has_plan: bool) -> None:
    """Check the folders of a sweep's jobs.

    Args:
        sweep: Folder of the sweep, already checked.
        subdirs: Value of hydra.sweep.subdir for each job.
        is_new: Whether the folder of the sweep will be a new one.
        has_plan: Whether the sweep will have a sweep.json; a sweep without one may share its folder with other runs.

    Raises:
        ConfigError: A folder cannot be used, or lies inside the folder of another job.
    """
    folders: dict[Path, int] = {}
    for number, subdir in enumerate(subdirs):
        folder = job_folder(sweep, subdir)
        if folder in folders:
            raise ConfigError(f"{SUBDIR}: jobs {folders[folder]} and {number} would share the folder {folder}")
        folders[folder] = number
    for folder, number in folders.items():
        outer = next((parent for parent in _between(folder, sweep) if parent in folders), None)
        if outer is not None:
            raise ConfigError(f"{SUBDIR}: {folder} of job {number} would lie in {outer} of job {folders[outer]}")
    if is_new or not sweep.exists():
        return
    for folder in folders:
        if not _resolved(folder).is_relative_to(_resolved(sweep)):
            raise ConfigError(f"{SUBDIR}: {folder} is a link that leads out of {sweep}")
        if is_run_folder(folder) or is_sweep_folder(folder):
            raise ConfigError(f"{sweep} holds runs already, such as {folder}: choose another {SWEEP_DIR}")
        check_writable(folder, SWEEP_DIR)
        check_apart(folder, SWEEP_DIR)
        check_no_runs_below(folder, SWEEP_DIR)
    if has_plan:
        check_no_runs_below(sweep, SWEEP_DIR)


def job_folder(sweep: Path, subdir: str) -> Path:
    """The folder of a job.

    Args:
        sweep: Folder of the sweep.
        subdir: Value of hydra.sweep.subdir for this job.

    Raises:
        ConfigError: The folder is not inside the sweep's folder, or its name is reserved for the sweep.
    """
    parts = Path(subdir).parts
    if not parts or ".." in parts or Path(subdir).is_absolute():
        raise ConfigError(f"{SUBDIR} must name a folder inside that of the sweep, got {subdir!r}")
    if parts[0] in (*RESERVED_NAMES, LOCK):
        raise ConfigError(f"{SUBDIR}={subdir}: {parts[0]} is a file of the sweep itself; choose another name")
    return sweep / subdir


def _resolved(folder: Path) -> Path:
    """The absolute path with symbolic links resolved, as far as they exist."""
    return Path(os.path.realpath(folder))


def _between(folder: Path, sweep: Path) -> Iterator[Path]:
    """The folders between the folder of a job and the folder of its sweep."""
    return itertools.takewhile(lambda parent: parent != sweep, folder.parents)


def make_folder(folder: Path, key: str, *, numbered: bool) -> Path:
    """Create the folder of a run or a sweep.

    Args:
        folder: Path of the folder.
        key: Key that sets the path, for the message.
        numbered: Whether to create the first of FOLDER, FOLDER_2, FOLDER_3, ... that does not exist, as two runs may
            start in the same second.

    Returns:
        Path of the folder, which now exists.

    Raises:
        ConfigError: The folder cannot be created.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not numbered:
            folder.mkdir(exist_ok=True)
            return folder
        for count in itertools.count(1):
            candidate = folder if count == 1 else folder.with_name(f"{folder.name}_{count}")
            try:
                candidate.mkdir()
            except FileExistsError:
                continue
            return candidate
        raise AssertionError("the count does not end")
    except OSError as error:
        raise ConfigError(f"{key}: {folder} cannot be created: {error.strerror}") from error


def discard_folders(folders: Sequence[Path]) -> None:
    """Remove the folders that were created for a run or a sweep that could not begin; folders with other files stay.

    Args:
        folders: Folder of the run or the sweep, then the parent folders that were created for it, innermost first.
    """
    for name in ("multirun.yaml", LOCK):
        with contextlib.suppress(OSError):
            (folders[0] / name).unlink(missing_ok=True)
    inner = [Path(name) for name, _, _ in os.walk(folders[0], topdown=False)]
    for folder in (*inner, *folders):
        with contextlib.suppress(OSError):
            folder.rmdir()
