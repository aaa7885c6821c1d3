"""Chooses the backend of a sweep and the number of processes if the user does not.

This module does not import torch, so that workers can be started before this process imports it.
"""

from collections.abc import Sequence
from dataclasses import replace

from rnnbench.config.launcher_settings import AUTO, LauncherSettings
from rnnbench.config.schema import Config
from rnnbench.run.processors import num_processors

SMALL_BATCH = 100
"""Sequences per batch of a replica below which one process per core is faster than threads.

The work between the kernels' calls occupies one thread of a process. With 32 replicas of B = 20, n = 50, T = 50 on two
cores, an update takes 4.0 ms in two processes and 4.75 ms on two threads; from B = 100 on the difference is below 5 %.
"""

MIN_STEPS_FOR_PROCESSES = 60_000_000
"""Least total number of sequence time steps in a sweep for which starting processes is worth its time.

With 0.75 ms for 32,000 steps, as above, processes gain within so many steps what their start takes, one to two seconds.
"""


def choose_backend(settings: LauncherSettings, configs: Sequence[Config], *, on_cpu: bool) -> LauncherSettings:
    """Replace `auto` in the settings of backend and processes.

    Args:
        settings: Settings of the launcher.
        configs: Configuration of each job.
        on_cpu: Whether the jobs train on the CPU.

    Returns:
        The settings with `processes` as a number; `backend: auto` becomes processes if these are faster, else inline.
    """
    processes = num_processors() if settings.processes == AUTO else int(settings.processes)
    backend = settings.backend
    if backend == AUTO:
        is_faster = on_cpu and min(processes, len(configs)) > 1 and _suits_processes(configs)
        backend = "processes" if is_faster else "inline"
    return replace(settings, backend=backend, processes=processes)


def _suits_processes(configs: Sequence[Config]) -> bool:
    """Whether all jobs use small batches, and the sweep is long enough."""
    steps = 0
    for config in configs:
        batch_size = getattr(config.optim, "batch_size", None)
        sequence_length = getattr(config.task, "sequence_length", None)  # a user's own task may lack it
        if batch_size is None or sequence_length is None or batch_size >= SMALL_BATCH:
            return False
        budget = config.budget
        most = budget.updates * batch_size if budget.sequences is None else budget.sequences
        steps += min(budget.updates * batch_size, most) * sequence_length
    return steps >= MIN_STEPS_FOR_PROCESSES
