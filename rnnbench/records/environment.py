"""Software environment of a run: versions of packages and the revision of the checkout."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import rnnbench

PACKAGES = ("torch", "numpy", "hydra-core", "omegaconf")

# On a slow disk, git must not delay a run.
_GIT_SECONDS = 5.0


def versions() -> dict[str, str]:
    """Return the versions of Python, rnnbench and the installed packages that determine the numbers."""
    versions = {"python": platform.python_version(), "rnnbench": rnnbench.__version__}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def git_revision(checkout: Path | None = None) -> str | None:
    """Return the git revision of a checkout.

    Args:
        checkout: Top folder of the checkout; None: the one that contains the package.

    Returns:
        40 hexadecimal digits, with `-dirty` appended if tracked files were changed. None: the folder is not the top of
        a checkout (such as a wheel in the virtual environment of another project), or git fails.
    """
    folder = Path(rnnbench.__file__).resolve().parents[1] if checkout is None else checkout
    if not (folder / ".git").exists():
        return None
    command = ["git", "--no-optional-locks", "-C", str(folder)]
    command += ["describe", "--always", "--dirty", "--exclude=*", "--abbrev=40"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
