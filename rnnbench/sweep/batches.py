"""Jobs of a sweep that can be trained together, set up once."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnbench.config.schema import Config
from rnnbench.run.setup import RunSetup, set_up
from rnnbench.sweep.grouping import group_jobs
from rnnbench.training.world import ALONE, World


@dataclass(frozen=True)
class Batch:
    """Jobs that differ in per-replica keys only.

    Attributes:
        jobs: Indices of the jobs.
        setup: The objects of a batched run of all of them; at least one job at a time fits into memory.
    """

    jobs: Sequence[int]
    setup: RunSetup


def batch_jobs(configs: Sequence[Config], world: World = ALONE) -> list[Batch]:
    """Put jobs that can be trained together into batches, and check that this machine can train each.

    Args:
        configs: One validated configuration per job.
        world: The processes that train each batch.

    Raises:
        ConfigError: As of `rnnbench.run.setup.set_up`.
    """
    return [Batch(jobs, set_up([configs[job] for job in jobs], world, min_replicas=1)) for jobs in group_jobs(configs)]
