"""Batches: jobs of a sweep that can be trained together, with their objects."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnbench.config.build import shared_values
from rnnbench.config.errors import ConfigError
from rnnbench.config.schema import Config
from rnnbench.run.setup import RunSetup, set_up
from rnnbench.sweeps.grouping import differences, group_jobs, label
from rnnbench.training.world import ALONE, World


@dataclass(frozen=True)
class JobBatch:
    """Jobs that differ in per-replica keys only.

    Attributes:
        jobs: Indices of the jobs.
        setup: Objects of a batched run of all these jobs; at least one job fits into memory.
    """

    jobs: Sequence[int]
    setup: RunSetup


def batch_jobs(
    configs: Sequence[Config], world: World = ALONE, *, numbers: Sequence[int] | None = None
) -> list[JobBatch]:
    """Put jobs that can be trained together into batches, and check that this machine can train every batch.

    Args:
        configs: One validated configuration per job.
        world: Processes that train each batch.
        numbers: Number of each job in its sweep, for messages; None: 0, 1, ...

    Raises:
        ConfigError: As by `rnnbench.run.setup.set_up`; if there are several batches, the message names the first job of
            the one that cannot be trained.
    """
    numbers = range(len(configs)) if numbers is None else numbers
    batches, groups = [], group_jobs(configs)
    for index, jobs in enumerate(groups):
        try:
            batches.append(JobBatch(jobs, set_up([configs[job] for job in jobs], world, min_replicas=1)))
        except ConfigError as error:
            if len(groups) == 1:
                raise
            tables = [shared_values(configs[first]) for first, *_ in groups]
            values = label(tables[index], differences(tables))
            raise ConfigError(f"job {numbers[jobs[0]]} ({values}): {error}") from error
    return batches
