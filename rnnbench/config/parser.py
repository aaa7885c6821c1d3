"""An argument parser whose errors are reported like any other bad input."""

import argparse
from typing import NoReturn

from rnnbench.config.errors import ConfigError


class CommandParser(argparse.ArgumentParser):
    """Raises a `ConfigError` instead of printing the usage and ending the process."""

    def error(self, message: str) -> NoReturn:
        """Report an invalid option.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(f"{message} (see {self.prog} --help)")
