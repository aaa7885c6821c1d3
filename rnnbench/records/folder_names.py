"""Folders of the jobs of a sweep, which lie in the folder of the sweep and nowhere else."""

import os
from pathlib import Path

from rnnbench.records.errors import RecordError


def job_folder(sweep: Path, name: object) -> Path:
    """The folder that is named in the plan of a sweep.

    Args:
        sweep: The sweep's folder, which may be a symbolic link.
        name: Of the job's folder, relative to it.

    Raises:
        RecordError: It is no name of a folder in it, or leads out of it through a symbolic link.
    """
    if not isinstance(name, str) or "\0" in name:
        raise RecordError(f"{name!r} is no folder")
    path = Path(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or str(path) != name:
        raise RecordError(f"the folder {name!r} is not one in the folder of its sweep")
    inside = os.path.join(os.path.realpath(sweep), name)
    if os.path.realpath(inside) != inside:
        raise RecordError(f"the folder {name!r} leads through a symbolic link out of its place in the sweep")
    return sweep / name
