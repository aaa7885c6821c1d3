"""Reads the probes on one saved net, with the same code as during training."""

import time
from dataclasses import dataclass, field

import torch
from torch import Tensor

from rnnbench.config.build import Built, build
from rnnbench.config.errors import ConfigError
from rnnbench.losses import loss_of
from rnnbench.objective.engine import Engine, flush_denormals
from rnnbench.objective.objective import Objective
from rnnbench.optim.base import Update
from rnnbench.probes.base import View, draw_quietly
from rnnbench.probes.figures import enlarged
from rnnbench.probing.saved import Saved
from rnnbench.records.messages import say
from rnnbench.run.checkpoint_reading import load_job
from rnnbench.run.machine import check_probe_memory
from rnnbench.tasks.base import Stream
from rnnbench.training.problem import EVALUATION_SEED

SCALE = 2
"""Factor by which the pictures are larger than in TensorBoard."""


@dataclass
class Findings:
    """Results of the probes on one net.

    Attributes:
        scalars: Tag -> number.
        histograms: Tag -> values.
        pictures: Tag -> PNG, enlarged by `SCALE`.
        failures: "probe NAME" or "picture TAG" -> error.
        seconds: Name of the probe -> its processor time, including its pictures.
    """

    scalars: dict[str, float] = field(default_factory=dict)
    histograms: dict[str, Tensor] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def prepare(saved: Saved, num_sequences: int) -> Built:
    """Build the objects of a run, and check that its probes fit into memory.

    Raises:
        ConfigError: A class cannot be imported, the model lacks a method that a probe needs, or the sample is too
            large for the memory.
    """
    built = build([saved.config])
    if not built.probes:
        raise ConfigError("all probes are off: choose some, as in probe=all, or set probe.NAME.every=1")
    if built.model.num_parameters != saved.num_parameters:
        raise ConfigError(
            f"{saved.checkpoint} does not match its configuration: it holds {saved.num_parameters:,} parameters, "
            f"but the net has {built.model.num_parameters:,}"
        )
    check_probe_memory(saved.config, built, num_sequences)
    return built


def probe(saved: Saved, built: Built, num_sequences: int) -> Findings:
    """Read every probe once, with its pictures.

    The batch comes from a stream of held-out sequences that is reserved for probes; it is the same for all runs of a
    task. No step is taken, so metrics of a step are omitted.
    """
    if saved.warning is not None:
        say(saved.warning)
    torch.set_num_threads(1)
    flush_denormals()
    view = _view(saved, built, num_sequences)
    findings = Findings()
    for name, one in built.probes.items():
        start = time.thread_time()
        try:
            reading = one.capture(view)()
        except Exception as error:  # as in training, a probe that fails is skipped
            findings.failures[f"probe {name}"] = error
            continue
        for tag, draw in reading.pictures.items():
            try:
                with enlarged(SCALE):
                    findings.pictures[tag] = draw_quietly(draw, 0)
            except Exception as error:  # the scalars are kept
                findings.failures[f"picture {tag}"] = error
        findings.seconds[name] = time.thread_time() - start
        findings.scalars |= {tag: float(value[0]) for tag, value in reading.scalars.items()}
        findings.histograms |= {tag: value[0] for tag, value in reading.histograms.items()}
    return findings


def _view(saved: Saved, built: Built, num_sequences: int) -> View:
    """Make the view that a probe gets in training, without a step."""
    theta: Tensor = load_job(saved.checkpoint)["theta"]
    task, engine = built.task, Engine(built.model, dtype=theta.dtype, num_traced=built.num_traced)
    batch = task.replica_batch([EVALUATION_SEED], Stream.PROBE, 0, num_sequences, dtype=theta.dtype)
    gradient = Objective(engine, loss_of(task.loss), batch).loss_and_gradient(theta)
    update = Update.without_step(theta, gradient)
    return View(built.model, task.num_steps, theta, update, num_logged=0, is_training=False, dependency=task.dependency)
