"""From configurations to finished run folders: the one place where all parts meet."""

import dataclasses
import logging
import pickle
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rnnbench.config.build import Built, build
from rnnbench.config.errors import ConfigError
from rnnbench.config.objects import to_dict
from rnnbench.config.schema import Config
from rnnbench.config.stored import config_from, schema_names, with_overrides
from rnnbench.curvature.engine import Engine, flush_denormals
from rnnbench.machine import MEBIBYTE, check_memory, resolve_device, resolve_threads
from rnnbench.optim.base import Update
from rnnbench.records import RecordError, Summary, write_summary
from rnnbench.records.closing import print_closing_summary
from rnnbench.records.environment import git_revision, versions
from rnnbench.records.terminal import Progress, choose_mode
from rnnbench.records.wording import count
from rnnbench.records.writer import Records
from rnnbench.training.checkpoint import load_checkpoint, save_checkpoint
from rnnbench.training.interrupt import EXIT_STATUS, Interrupt
from rnnbench.training.loop import Plan, Training
from rnnbench.training.observation import Observer, ScheduledProbe, columns
from rnnbench.training.problem import Problem, draw_parameters

CHECKPOINT = "checkpoint.pt"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One run to be made: a configuration and an existing folder of its own."""

    config: Config
    folder: Path


def check_machine(configs: Sequence[Config]) -> None:
    """Check that each configuration, run by itself, fits this machine.

    Raises:
        ConfigError: A device is not there, or a run needs more memory than there is.
    """
    for config in configs:
        check_memory(config, build([config]), 1, resolve_device(config.device))


def run_jobs(jobs: Sequence[Job], *, quiet: bool) -> int:
    """Train all jobs as the replicas of one batched run.

    Args:
        jobs: They agree in everything but the fields marked per replica.
        quiet: No progress on the terminal.

    Returns:
        The exit status: 0 ended as planned, 1 failed, 130 or 143 ended by a signal.

    Raises:
        ConfigError: They do not agree, or do not fit this machine; nothing has been written then.
    """
    return _Session(jobs, quiet).run()


def resume_run(folder: Path, overrides: Sequence[str], *, quiet: bool) -> int:
    """Go on with a run from its checkpoint, to the very numbers that it would have had without the interruption.

    Args:
        folder: Its run folder.
        overrides: A larger budget, as KEY=VALUE.
        quiet: No progress on the terminal.

    Returns:
        The exit status, as of `run_jobs`; 0 where the run is finished already.

    Raises:
        ConfigError: The folder holds no checkpoint, or one of another program; or an override is wrong.
    """
    try:
        checkpoint = load_checkpoint(folder / CHECKPOINT)
    except (OSError, RecordError, RuntimeError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{folder} cannot be resumed: {str(error).splitlines()[0]}") from error
    config = config_from(checkpoint["config"], checkpoint["schema"])
    config = with_overrides(dataclasses.replace(config, threads=checkpoint["threads"]), overrides)
    updates = checkpoint["updates"]
    if checkpoint["status"] == "diverged" or (checkpoint["status"] == "solved" and config.stop_when_solved):
        print(f"rnnbench: {folder} is finished: {checkpoint['status']} after {updates} updates", file=sys.stderr)
        return 0
    session = _Session([Job(config, folder)], quiet, checkpoint)
    if not quiet:
        print(f"rnnbench: {config.name} goes on after update {updates} -> {folder}", file=sys.stderr, flush=True)
    return session.run()


class _Session:
    """One batched run: builds the parts, is the training's audience, and keeps each job's folder up to date."""

    def __init__(self, jobs: Sequence[Job], quiet: bool, checkpoint: Mapping[str, Any] | None = None) -> None:
        self.jobs, self.quiet, self.resumed = jobs, quiet, checkpoint
        self.config = jobs[0].config
        self.device = resolve_device(self.config.device)
        self.built: Built = build([job.config for job in jobs])
        needed = check_memory(self.config, self.built, len(jobs), self.device)
        # Each worker runs whole blocks; an operation itself is not split.
        torch.set_num_threads(1)
        flush_denormals()
        self.threads = resolve_threads(self.config, self.built, len(jobs), self.device)
        if not quiet:
            where = count(self.threads, "thread") if self.device.type == "cpu" else str(self.device)
            print(f"rnnbench: {where}, about {needed / MEBIBYTE:,.0f} MiB of memory", file=sys.stderr, flush=True)
        dtype = getattr(torch, self.config.dtype)
        self.engine = Engine(self.built.model, self.threads, self.device, dtype)
        self.facts: dict[str, Any] = {
            "baseline_loss": self.built.task.baseline_loss,
            "baseline_error_rate": self.built.task.baseline_error_rate,
            "versions": versions(),
            "device": str(self.device),
            "threads": self.threads,
            "git": git_revision(),
        }
        self.trees = [to_dict(job.config) for job in jobs]
        self.summaries = [Summary(status="running", config=tree, **self.facts) for tree in self.trees]

    def run(self) -> int:
        """Train; returns the exit status."""
        status = 1
        with Interrupt() as interrupt:
            try:
                self._write_summaries()
                self._train(interrupt)
                status = 0 if interrupt.signal is None else EXIT_STATUS[interrupt.signal]
            except RecordError as error:
                self._fail(f"records could not be written: {error}", error)
            except (MemoryError, torch.OutOfMemoryError) as error:
                self._fail("out of memory; lower the batch sizes", error)
            except Exception as error:
                self._fail(f"{type(error).__name__}: {error}", error)
            finally:
                self.engine.close()
        print_closing_summary(self.summaries, [job.folder for job in self.jobs], sys.stdout)
        return status

    def _train(self, interrupt: Interrupt) -> None:
        built, config, jobs = self.built, self.config, self.jobs
        problem = Problem(built.task, self.engine, [job.config.seed for job in jobs])
        theta = draw_parameters(built.model, built.inits, problem.seeds, self.engine)
        probes = {name: ScheduledProbe(probe, config.probe[name].every) for name, probe in built.probes.items()}
        names = columns(probes, built.optimizer, built.model, built.task)
        self.progress = Progress(
            choose_mode(self.quiet, sys.stderr),
            total=config.budget.updates,
            baseline_loss=built.task.baseline_loss,
            baseline_error_rate=built.task.baseline_error_rate,
            num_replicas=len(jobs),
        )
        lengths = None if self.resumed is None else [self.resumed["records"]]
        with Records([job.folder for job in jobs], names, lengths=lengths) as self.records:
            observer = Observer(self.records, probes, self.message)
            training = Training(problem, built.optimizer, theta, plan_of(config), observer, self, interrupt)
            if self.resumed is None:
                for replica, tree in enumerate(self.trees):
                    self.records.hyperparameters(replica, flatten(tree), ["loss/eval", "error_rate/eval"])
            else:
                training.restore(self.resumed)
            try:
                with self.progress:
                    training.run()
            finally:
                # What is known when something went wrong is kept: counts, last evaluation, rows that still wait.
                self._refresh(training)
                observer.close()

    # ------------------------------------------------------------ what the training tells

    def show(self, training: Training, update: Update | None) -> None:
        """Show how far the run is."""
        replicas, plan = training.replicas, training.plan
        shares = [training.update / plan.max_updates]
        if plan.max_seconds is not None:
            shares.append(training.seconds / plan.max_seconds)
        if plan.max_sequences is not None:
            shares.append(max(replica.sequences for replica in replicas) / plan.max_sequences)
        fields = {}
        if update is not None:
            fields = {
                tag.partition("/")[2].replace("_", " "): update.metrics[tag].median().item()
                for tag in self.built.optimizer.shown_metrics
            }
        self.progress.show(
            training.update,
            loss=np.array([replica.loss for replica in replicas], dtype=float),
            error_rate=np.array([replica.error_rate for replica in replicas], dtype=float),
            num_solved=sum(replica.solved_at is not None for replica in replicas),
            fraction=max(shares),
            fields=fields,
        )

    def message(self, text: str) -> None:
        """Say something above the progress bar, and in the log."""
        logger.warning(text)
        self.progress.message(text)

    def checkpoint(self, training: Training) -> None:
        """Save the active replicas."""
        self._refresh(training)
        for index in training.active:
            self._save(training, index)

    def ended(self, training: Training, replica: int) -> None:
        """Save a replica that has ended."""
        self._refresh(training)
        self._save(training, replica)

    # ------------------------------------------------------------ run folders

    def _refresh(self, training: Training) -> None:
        """Bring the summaries up to date with the training."""
        for index, replica in enumerate(training.replicas):
            self.summaries[index] = Summary(
                status=replica.status,
                solved=replica.solved_at is not None,
                solved_at=replica.solved_at,
                message=replica.message,
                loss=replica.loss,
                error_rate=replica.error_rate,
                updates=replica.updates,
                sequences=round(replica.sequences),
                products=round(replica.products),
                seconds=replica.seconds,
                config=self.trees[index],
                **self.facts,
            )

    def _save(self, training: Training, index: int) -> None:
        job = self.jobs[index]
        contents = training.snapshot(index)
        layout = {name: list(shape) for name, shape in self.built.model.layout.items()}
        lengths = self.records.lengths()[index]
        save_checkpoint(
            job.folder / CHECKPOINT,
            {
                **contents,
                "status": training.replicas[index].status,
                "layout": layout,
                "records": lengths,
                "config": self.trees[index],
                "schema": schema_names(job.config),
                "threads": self.threads,
            },
        )
        write_summary(job.folder, self.summaries[index])

    def _write_summaries(self) -> None:
        for job, summary in zip(self.jobs, self.summaries, strict=True):
            write_summary(job.folder, summary)

    def _fail(self, message: str, error: BaseException) -> None:
        """Say what went wrong, and leave it in the summaries where they can still be written."""
        logger.error(message, exc_info=error)
        print(f"rnnbench: {message}", file=sys.stderr)
        for index, summary in enumerate(self.summaries):
            if summary.status == "running":
                self.summaries[index] = Summary(**{**vars(summary), "status": "failed", "message": message})
        try:
            self._write_summaries()
        except RecordError as second:
            print(f"rnnbench: {second}", file=sys.stderr)


def plan_of(config: Config) -> Plan:
    """The training plan that a configuration asks for."""
    minutes = config.budget.minutes
    return Plan(
        max_updates=config.budget.updates,
        max_sequences=config.budget.sequences,
        max_seconds=None if minutes is None else 60 * minutes,
        stop_when_solved=config.stop_when_solved,
        **dataclasses.asdict(config.record),
    )


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Scalars of a nested configuration by dotted key; lists as text, null as "null"."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value if isinstance(value, bool | int | float | str) else _text(value)
    return flat


def _text(value: object) -> str:
    return "null" if value is None else str(value)
