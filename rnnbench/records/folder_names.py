"""Names of the job folders of a sweep, which must lie inside the sweep folder."""

import os
from pathlib import Path

from rnnbench.records.errors import RecordError


def job_folder(sweep: Path, name: object) -> Path:
    """Return the path of a job folder that the plan of a sweep names.

    Args:
        sweep: Sweep folder, which may be a symbolic link.
        name: Name of the job folder, relative to the sweep folder.

    Raises:
        RecordError: The name is not that of a folder inside the sweep, or leads out of it through a symbolic link.
    """
    if not isinstance(name, str) or "\0" in name:
        raise RecordError(f"{name!r} is not the name of a folder")
    path = Path(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or str(path) != name:
        raise RecordError(f"the folder {name!r} is not inside the sweep folder")
    inside = os.path.join(os.path.realpath(sweep), name)
    if os.path.realpath(inside) != inside:
        raise RecordError(f"the folder {name!r} leads through a symbolic link out of the sweep folder")
    return sweep / name
