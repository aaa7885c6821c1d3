"""Folders of runs and sweeps: checked before any work, and made when the work begins."""

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from rnnbench.config.errors import ConfigError
from rnnbench.records.lock import FILE_NAME as LOCK
from rnnbench.records.summary import RESERVED_NAMES, is_run_folder, is_sweep_folder, what_is_in

RUN_DIR, SWEEP_DIR, SUBDIR = "hydra.run.dir", "hydra.sweep.dir", "hydra.sweep.subdir"


def check_run(folder: Path, *, numbered: bool) -> None:
    """Check the folder of a single run, creating nothing.

    Args:
        folder: Its path; it need not exist.
        numbered: Whether another name is taken where it exists.

    Raises:
        ConfigError: It cannot be made or written, holds a run or a sweep, or lies in or around one.
    """
    _check_place(folder, RUN_DIR, numbered=numbered)
    if not numbered:
        check_empty(folder, RUN_DIR)


def check_sweep(folder: Path, *, numbered: bool) -> None:
    """Check the folder of a sweep as `check_run` does, but for what is in it: see `check_job_folders`."""
    _check_place(folder, SWEEP_DIR, numbered=numbered)


def _check_place(folder: Path, key: str, *, numbered: bool) -> None:
    """Check all but what is in a folder; one that is named by the time and exists gets another name."""
    if numbered:
        check_writable(folder.parent, key)
    else:
        check_folder(folder, key)
    check_apart(folder, key)


def check_utf8(folder: Path) -> None:
    """Check that the path of a folder is text: checkpoints, YAML and TensorBoard's events cannot hold other bytes.

    Raises:
        ConfigError: It is not.
    """
    path = folder.absolute()
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{path} cannot be used: its name is not UTF-8 text; rename it, or move elsewhere") from error


def check_folder(folder: Path, key: str) -> None:
    """Check that a run or a sweep can be written into a folder, creating nothing.

    Args:
        folder: Its path; it need not exist.
        key: The key that decides it, for the message.

    Raises:
        ConfigError: It holds a run or a sweep already, is no folder, or cannot be made or written.
    """
    check_writable(folder, key)
    for what, is_one in (("run", is_run_folder), ("sweep", is_sweep_folder)):
        if is_one(folder):
            raise ConfigError(
                f"{folder} holds a {what} already: continue it with `rnnbench resume {folder}`, or choose another {key}"
            )


def check_writable(folder: Path, key: str) -> None:
    """Check that a folder exists or can be made, and can be written; see `check_folder`."""
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
    """Check that a folder lies in no run or sweep; `rnnbench resume` and `rnnbench report` would see one of the two.

    Args:
        folder: Its path; it need not exist.
        key: The key or option that decides it, for the message.

    Raises:
        ConfigError: It does.
    """
    for parent in _resolved(folder).parents:
        what = what_is_in(parent)
        if what is not None:
            raise ConfigError(f"{folder} lies inside the {what} {parent}: choose another {key}")


def check_empty(folder: Path, key: str) -> None:
    """Check that there is no run and no sweep below a folder, which does not hold one itself.

    Args:
        folder: Its path; it need not exist.
        key: The key that decides it, for the message.

    Raises:
        ConfigError: There is one.
    """
    for name, inner, _ in os.walk(folder):
        inner[:] = [each for each in inner if not each.startswith(".")]
        path = Path(name)
        what = None if path == folder else what_is_in(path)
        if what is not None:
            raise ConfigError(f"{folder} has the {what} {path} in it: choose another {key}")


def check_job_folders(sweep: Path, subdirs: Sequence[str], *, is_new: bool, has_plan: bool) -> None:
    """Check the folders of a sweep's jobs.

    Args:
        sweep: Folder of the sweep, which is checked already.
        subdirs: Of each job, the text of hydra.sweep.subdir.
        is_new: Whether the sweep gets a folder that does not exist yet, whatever its name will be.
        has_plan: Whether the sweep will have a plan of its jobs; a folder without one may hold other runs.

    Raises:
        ConfigError: One cannot be used, or lies in another one.
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
        check_folder(folder, SWEEP_DIR)
        check_apart(folder, SWEEP_DIR)
        check_empty(folder, SWEEP_DIR)
    if has_plan:
        check_empty(sweep, SWEEP_DIR)


def job_folder(sweep: Path, subdir: str) -> Path:
    """The folder of a job.

    Args:
        sweep: Folder of its sweep.
        subdir: The text of hydra.sweep.subdir for this job.

    Raises:
        ConfigError: It is not inside the sweep's, or the sweep keeps something else there.
    """
    parts = Path(subdir).parts
    if not parts or ".." in parts or Path(subdir).is_absolute():
        raise ConfigError(f"{SUBDIR} must name a folder inside that of the sweep, got {subdir!r}")
    if parts[0] in (*RESERVED_NAMES, LOCK):
        raise ConfigError(f"{SUBDIR}={subdir}: the sweep itself has {parts[0]} in its folder; choose another name")
    return sweep / subdir


def _resolved(folder: Path) -> Path:
    """Its absolute path without links, as far as they lead somewhere."""
    return Path(os.path.realpath(folder))


def _between(folder: Path, sweep: Path) -> Iterator[Path]:
    """The folders that a job's folder lies in, up to that of its sweep."""
    return itertools.takewhile(lambda parent: parent != sweep, folder.parents)


def make_folder(folder: Path, key: str, *, numbered: bool) -> Path:
    """Make a folder of a run or a sweep.

    Args:
        folder: Its path.
        key: The key that decides it, for the message.
        numbered: Whether to take the first free one of FOLDER, FOLDER_2, FOLDER_3, ... where it exists already, as when
            two runs start in the same second.

    Returns:
        The folder, which exists.

    Raises:
        ConfigError: It cannot be made.
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
        raise ConfigError(f"{key}: {folder} cannot be made: {error.strerror}") from error


def discard_folders(folders: Sequence[Path]) -> None:
    """Remove folders that were made for a run or a sweep which then could not begin, as far as nothing else is in them.

    Args:
        folders: The folder of the run or the sweep, then those that were made around it, the innermost first.
    """
    for name in ("multirun.yaml", LOCK):
        with contextlib.suppress(OSError):
            (folders[0] / name).unlink(missing_ok=True)
    inner = [Path(name) for name, _, _ in os.walk(folders[0], topdown=False)]
    for folder in (*inner, *folders):
        with contextlib.suppress(OSError):
            folder.rmdir()
