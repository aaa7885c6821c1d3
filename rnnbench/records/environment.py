"""What a run ran on: versions of packages and the revision of the checkout."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path

import rnnbench

PACKAGES = ("torch", "numpy", "hydra-core", "omegaconf")

# A git that waits for a slow disk must not hold up a run.
_GIT_SECONDS = 5.0


def versions() -> dict[str, str]:
    """Versions of Python, rnnbench and the packages that decide the numbers; those not installed are left out."""
    found = {"python": platform.python_version(), "rnnbench": rnnbench.__version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_revision(checkout: Path | None = None) -> str | None:
    """Revision of a checkout, with `-dirty` behind it where tracked files were changed.

    Args:
        checkout: Its top folder; None: the one that holds the package.

    Returns:
        40 hexadecimal digits, perhaps with `-dirty`; None where it is no checkout of its own (a wheel inside the
        virtual environment of another project is not), or git does not answer.
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
