"""The runs whose updates are measured."""

from collections.abc import Sequence
from dataclasses import replace

from rnnbench.bench.bare_run import BareRun
from rnnbench.config.compose import Composer
from rnnbench.config.request import Request
from rnnbench.config.schema import Config
from rnnbench.run.setup import set_up

HF_RUN = ("optim=hf", "task.sequence_length=50", "optim.gradient_batch_size=2000", "optim.curvature_batch_size=500")
"""Hessian-free with large batches, whatever the default is, so that measurements of all revisions can be compared."""

NAG_RUN = ("optim=nag", "task.sequence_length=50", "optim.batch_size=20", "model.hidden_size=50")
NAG_REPLICAS = 32


def configs_of(overrides: Sequence[str], num_replicas: int) -> list[Config]:
    """Compose configurations as `rnnbench train` does, on the CPU, with seeds from 0."""
    with Composer(Request()) as composer:
        config = composer.compose([*overrides, "device=cpu"]).config
    return [replace(config, seed=seed) for seed in range(num_replicas)]


def bare_run(overrides: Sequence[str], num_replicas: int, threads: int) -> BareRun:
    """Make a bare run from overrides, with a number of replicas and of worker threads."""
    configs = configs_of(overrides, num_replicas)
    return BareRun(set_up(configs), [config.seed for config in configs], threads)
