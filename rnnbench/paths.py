"""Paths of the package's files."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def conf_dir(package: Path = PACKAGE) -> Path:
    """Find the folder of the configuration files.

    In a wheel it lies inside the package; in a checkout, and so in an editable install, next to the package.

    Args:
        package: Folder of the package `rnnbench`.

    Returns:
        Absolute path of the first `conf` folder that contains config.yaml.

    Raises:
        FileNotFoundError: Neither folder contains config.yaml; the message names both.
    """
    candidates = (package / "conf", package.parent / "conf")
    for candidate in candidates:
        if (candidate / "config.yaml").is_file():
            return candidate
    raise FileNotFoundError(
        f"no config.yaml in {candidates[0]} nor in {candidates[1]}: this installation of rnnbench is incomplete"
    )
