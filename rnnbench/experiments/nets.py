"""Loads the trained nets of a sweep for measurements.

Letters: R nets, P parameters of one net.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from rnnbench.config.build import build
from rnnbench.config.schema import Config
from rnnbench.config.trust import NOTHING, check_trusted
from rnnbench.models.base import Model
from rnnbench.records.summary import CHECKPOINT, Summary, read_summary
from rnnbench.run.checkpoint_reading import load_job
from rnnbench.run.job_folders import Job
from rnnbench.sweeps.grouping import group_jobs
from rnnbench.sweeps.plan import read_plan
from rnnbench.tasks.base import Task


@dataclass(frozen=True)
class Nets:
    """Nets that could be trained in one batched run.

    Attributes:
        configs: Configuration of each net.
        summaries: Summary of each net's run.
        task: Task of the nets.
        model: The model.
        theta: Parameters of the nets, (R, P), float64.
    """

    configs: Sequence[Config]
    summaries: Sequence[Summary]
    task: Task
    model: Model
    theta: Tensor

    def values(self, key: str) -> list[Any]:
        """Return the value of a dotted key in the configuration of each net."""
        values = []
        for config in self.configs:
            value: Any = config
            for part in key.split("."):
                value = value[part] if isinstance(value, Mapping) else getattr(value, part)
            values.append(value)
        return values

    def split(self, most: int) -> list[Self]:
        """Return parts of at most so many nets, in order."""
        rows = [slice(start, start + most) for start in range(0, len(self.configs), most)]
        return [
            replace(self, configs=self.configs[own], summaries=self.summaries[own], theta=self.theta[own])
            for own in rows
        ]


def read_nets(sweep: Path) -> list[Nets]:
    """Read the trained nets of a sweep, one `Nets` for all jobs that can be trained in one batched run.

    Args:
        sweep: Folder of the sweep; every job has ended.

    Raises:
        RecordError: A checkpoint or a summary is missing or damaged.
    """
    all_jobs, groups = _jobs_of(sweep), []
    for group in group_jobs([job.config for job in all_jobs]):
        jobs = [all_jobs[index] for index in group]
        built = build([job.config for job in jobs])
        theta = torch.cat([load_job(job.folder / CHECKPOINT)["theta"] for job in jobs]).double()
        summaries = [read_summary(job.folder) for job in jobs]
        groups.append(Nets([job.config for job in jobs], summaries, built.task, built.model, theta))
    return groups


def read_summaries(sweep: Path) -> list[Summary]:
    """Read the summaries of all jobs of a sweep, in the order of the jobs.

    Raises:
        ConfigError: sweep.json cannot be read.
        RecordError: A summary cannot be read.
    """
    return [read_summary(job.folder) for job in _jobs_of(sweep)]


def _jobs_of(sweep: Path) -> list[Job]:
    plan = read_plan(sweep)
    jobs = [job for number in plan.numbers() for job in plan.jobs(number)]
    check_trusted(sweep, [job.config for job in jobs], None, NOTHING)
    return jobs
