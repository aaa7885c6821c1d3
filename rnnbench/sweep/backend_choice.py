"""Where the groups of a sweep run, and in how many processes, where that is left to the program.

Nothing here imports torch, so that workers can be made ready before this process has imported it.
"""

from collections.abc import Sequence
from dataclasses import replace

from rnnbench.config.launcher_settings import AUTO, LauncherSettings
from rnnbench.config.schema import Config
from rnnbench.run.processors import num_processors

SMALL_BATCH = 350
"""Sequences of a replica's batch below which the threads of one process wait for Python's lock between operations of a
few microseconds, and a process for each core is faster: 7 milliseconds an update in place of 13 with 32 replicas of
B = 20, n = 50, T = 50 on two cores."""

WORTH_PROCESSES = 20_000_000
"""Time steps of single sequences in all updates of a sweep: about ten seconds of one core at 50 to 100 hidden units.
With less the start of processes weighs more than what they gain."""


def choose_backend(settings: LauncherSettings, configs: Sequence[Config], *, on_cpu: bool) -> LauncherSettings:
    """The settings with nothing left open.

    Args:
        settings: Of the launcher.
        configs: One per job.
        on_cpu: Whether the jobs train on the CPU.

    Returns:
        `processes` as a number, and in place of `backend: auto` processes where they are faster, else inline.
    """
    processes = num_processors() if settings.processes == AUTO else int(settings.processes)
    backend = settings.backend
    if backend == AUTO:
        is_faster = on_cpu and min(processes, len(configs)) > 1 and _suits_processes(configs)
        backend = "processes" if is_faster else "inline"
    return replace(settings, backend=backend, processes=processes)


def _suits_processes(configs: Sequence[Config]) -> bool:
    """Whether all jobs work on small batches, and together long enough."""
    steps = 0
    for config in configs:
        batch_size = getattr(config.optim, "batch_size", None)
        sequence_length = getattr(config.task, "sequence_length", None)  # a task of one's own need not have it
        if batch_size is None or sequence_length is None or batch_size >= SMALL_BATCH:
            return False
        steps += config.budget.updates * batch_size * sequence_length
    return steps >= WORTH_PROCESSES
