"""Reads the probes on one saved net, by the code that reads them while it trains."""

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rnnbench.config.build import Built, build
from rnnbench.config.errors import ConfigError
from rnnbench.losses import LOSSES
from rnnbench.objective.engine import Engine, flush_denormals
from rnnbench.objective.objective import Objective
from rnnbench.optim.base import Update
from rnnbench.probes.base import View, draw_quietly
from rnnbench.probing.saved import Saved
from rnnbench.run.checkpoint_reading import load_job
from rnnbench.run.job_folders import CHECKPOINT
from rnnbench.run.machine import check_probe_memory
from rnnbench.tasks.base import Stream
from rnnbench.training.problem import EVALUATION_SEED


@dataclass
class Findings:
    """What the probes found on one net.

    Attributes:
        scalars: By tag.
        histograms: Values by tag.
        pictures: PNG by tag.
        failures: What went wrong, by "probe NAME" or "picture TAG".
        seconds: Processor time of each probe, its pictures included, by its name.
    """

    scalars: dict[str, float] = field(default_factory=dict)
    histograms: dict[str, Tensor] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def prepare(saved: Saved, num_sequences: int) -> Built:
    """Build a run's objects, and check that looking at it fits into memory.

    Raises:
        ConfigError: A class is not there, the model lacks what a probe needs, or the sample is too large.
    """
    built = build([saved.config])
    if not built.probes:
        raise ConfigError("every probe is off: name others, as in probe=all, or set probe.NAME.every=1")
    if built.model.num_parameters != saved.num_parameters:
        expected = f"a net of {built.model.num_parameters:,} parameters"
        raise ConfigError(f"{saved.folder / CHECKPOINT} holds {saved.num_parameters:,}, but is of {expected}")
    check_probe_memory(saved.config, built, num_sequences)
    return built


def probe(saved: Saved, built: Built, num_sequences: int) -> Findings:
    """Read every probe once, with its pictures.

    The batch is of the stream of held-out sequences that is kept for probes, the same for every run of a task. No
    step is taken: what probes say of a step is left out.
    """
    torch.set_num_threads(1)
    flush_denormals()
    view = _view(saved, built, num_sequences)
    findings = Findings()
    for name, one in built.probes.items():
        start = time.thread_time()
        try:
            reading = one.capture(view)()
        except Exception as error:  # as in training, a probe that fails is left out
            findings.failures[f"probe {name}"] = error
            continue
        for tag, draw in reading.pictures.items():
            try:
                findings.pictures[tag] = draw_quietly(draw, 0)
            except Exception as error:  # the numbers stay
                findings.failures[f"picture {tag}"] = error
        findings.seconds[name] = time.thread_time() - start
        findings.scalars |= {tag: float(value[0]) for tag, value in reading.scalars.items()}
        findings.histograms |= {tag: value[0] for tag, value in reading.histograms.items()}
    return findings


def _view(saved: Saved, built: Built, num_sequences: int) -> View:
    """What a probe would see in training, but for the step."""
    theta: Tensor = load_job(saved.folder / CHECKPOINT)["theta"]
    task, engine = built.task, Engine(built.model, dtype=theta.dtype, num_traced=built.num_traced)
    batch = task.batch([EVALUATION_SEED], Stream.PROBE, 0, num_sequences, dtype=theta.dtype)
    gradient = Objective(engine, LOSSES[task.loss], batch).loss_and_gradient(theta)
    nothing = torch.zeros(len(theta), dtype=torch.float64)
    update = Update(theta, {}, gradient, gradient.gradient, nothing, nothing, nothing, nothing)
    return View(built.model, task.num_steps, theta, update, num_logged=0, is_training=False)
