"""Arguments of the commands: invalid ones are reported like any other bad input."""

import argparse
import os
from pathlib import Path
from typing import NoReturn

from rnnbench.config.errors import ConfigError
from rnnbench.config.given_paths import given_path, no_folder


class CommandParser(argparse.ArgumentParser):
    """Raises a `ConfigError` instead of printing the usage and ending the process."""

    def error(self, message: str) -> NoReturn:
        """Report an invalid option.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"{message} (see {self.prog} --help)")


def option_folder(option: str, given: str) -> Path:
    """The folder that an option names.

    Args:
        option: Name of the option, for the message.
        given: Path as typed.

    Returns:
        The absolute path, with symbolic links resolved.

    Raises:
        ConfigError: The folder does not exist.
    """
    try:
        path = given_path(given)
    except ConfigError as error:
        raise ConfigError(f"{option}: {error}") from error
    if not path.is_dir():
        raise ConfigError(f"{option}: {no_folder(path)}")
    return Path(os.path.realpath(path))
