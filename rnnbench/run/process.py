"""Settings of a process that trains, which hold from before torch is imported; imports no torch."""

import os

# Threads that spin while they wait make a busy machine many times slower, and a changing thread count changes the bits.
# The OpenMP runtimes read these when torch is imported.
ENVIRONMENT = {
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "0",
    "OMP_DYNAMIC": "FALSE",
    "MKL_DYNAMIC": "FALSE",
}


def prepare_process() -> None:
    """Set how threads wait, before torch is imported."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def place_in_torchrun() -> tuple[int, int]:
    """Rank of this process among those that torchrun has started for one run, and their number; (0, 1) without it."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0, 1
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
