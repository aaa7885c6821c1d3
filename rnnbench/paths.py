"""Where the files that belong to the package lie."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def conf_dir(package: Path = PACKAGE) -> Path:
    """Find the folder of the configuration files.

    A wheel carries it inside the package, a checkout (and so an editable install) has it beside the package.

    Args:
        package: The folder of the package `rnnbench`.

    Returns:
        The absolute path of the first `conf` folder that holds config.yaml.

    Raises:
        FileNotFoundError: Neither folder holds config.yaml; the message names both.
    """
    candidates = (package / "conf", package.parent / "conf")
    for candidate in candidates:
        if (candidate / "config.yaml").is_file():
            return candidate
    raise FileNotFoundError(
        f"no config.yaml in {candidates[0]} nor in {candidates[1]}: this installation of rnnbench is incomplete"
    )
