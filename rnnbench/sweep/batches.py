"""Batches: jobs of a sweep that can be trained together, with their objects."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnbench.config.schema import Config
from rnnbench.run.setup import RunSetup, set_up
from rnnbench.sweep.grouping import group_jobs
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


def batch_jobs(configs: Sequence[Config], world: World = ALONE) -> list[JobBatch]:
    """Put jobs that can be trained together into batches, and check that this machine can train every batch.

    Args:
        configs: One validated configuration per job.
        world: Processes that train each batch.

    Raises:
        ConfigError: As by `rnnbench.run.setup.set_up`.
    """
    return [
        JobBatch(jobs, set_up([configs[job] for job in jobs], world, min_replicas=1)) for jobs in group_jobs(configs)
    ]
