"""Settings of a process that trains, made before torch is imported; this module imports no torch."""

import os

from rnnbench.config.errors import ConfigError
from rnnbench.native.build import is_switched_off

# Threads that spin while they wait slow down a busy machine, and a changing number of threads changes the results.
# The OpenMP runtimes read these variables when torch is imported.
ENVIRONMENT = {
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "0",
    "OMP_DYNAMIC": "FALSE",
    "MKL_DYNAMIC": "FALSE",
}


def prepare_process() -> None:
    """Set the environment variables of the OpenMP runtimes, before torch is imported, and check our own.

    Raises:
        ConfigError: An environment variable of rnnbench has a value without meaning.
    """
    check_environment()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def check_environment() -> None:
    """Check the environment variables of rnnbench.

    Raises:
        ConfigError: One has a value without meaning.
    """
    try:
        is_switched_off()
    except ValueError as error:
        raise ConfigError(str(error)) from error


def place_in_torchrun() -> tuple[int, int]:
    """Return the rank of this process among those of torchrun and their number; (0, 1) without torchrun."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
