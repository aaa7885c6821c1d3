"""Settings of a process that trains, made before torch is imported; this module imports no torch."""

import os

# Threads that spin while they wait slow down a busy machine, and a changing number of threads changes the results.
# The OpenMP runtimes read these variables when torch is imported.
ENVIRONMENT = {
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "0",
    "OMP_DYNAMIC": "FALSE",
    "MKL_DYNAMIC": "FALSE",
}


def prepare_process() -> None:
    """Set the environment variables of the OpenMP runtimes, before torch is imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def place_in_torchrun() -> tuple[int, int]:
    """Return the rank of this process among those of torchrun and their number; (0, 1) without torchrun."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
