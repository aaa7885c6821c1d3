"""The parser of a command's options, whose errors are those of any other bad input."""

import argparse
from typing import NoReturn

from rnnbench.config.errors import ConfigError


class CommandParser(argparse.ArgumentParser):
    """Raises in place of printing a usage of several lines."""

    def error(self, message: str) -> NoReturn:
        """Tell of an option that cannot be.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"{message} (see {self.prog} --help)")
