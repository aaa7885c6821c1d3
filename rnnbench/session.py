"""One batched run, from its jobs to their finished folders: the one place where all parts meet."""

import contextlib
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import numpy as np
import torch

from rnnbench.config.build import Built, build
from rnnbench.config.classes import places_of
from rnnbench.config.schema import Config
from rnnbench.exit_status import FAILED, OK, of_signal
from rnnbench.keeping import Group, Job, Keeper, Lengths
from rnnbench.machine import (
    MEBIBYTE,
    check_backend,
    check_graphs,
    check_memory,
    is_out_of_memory,
    prepare_arithmetic,
    resolve_device,
    resolve_recurrence,
    resolve_threads,
)
from rnnbench.objective.engine import Engine
from rnnbench.optim.base import Update
from rnnbench.records import RecordError
from rnnbench.records.environment import git_revision, versions
from rnnbench.records.live_aggregate import LiveAggregate
from rnnbench.records.messages import say
from rnnbench.records.terminal import Progress, choose_mode
from rnnbench.records.wording import count
from rnnbench.records.writer import Records
from rnnbench.training.interrupt import Interrupt
from rnnbench.training.loop import Training
from rnnbench.training.observation import Observer, columns
from rnnbench.training.plan import Plan
from rnnbench.training.problem import Problem, draw_parameters
from rnnbench.training.readings import ScheduledProbe
from rnnbench.training.replica import Snapshot
from rnnbench.training.state import TrainingState
from rnnbench.training.stepping import CapturedUpdates
from rnnbench.training.world import ALONE, SharedInterrupt, World

SECONDS_BETWEEN_GROUP_CHECKPOINTS = 10.0
"""Replicas that end within so many seconds share one checkpoint of those that go on."""

logger = logging.getLogger(__name__)


class TooManyReplicasError(Exception):
    """A batched run does not fit into memory; what it had recorded and its checkpoint are whole."""


@dataclass(frozen=True)
class Start:
    """Where an earlier process left the jobs of a run.

    Attributes:
        snapshot: Of all of them; None: nothing was kept, so they begin anew.
        lengths: Bytes of each job's files at that moment.
        threads: That it computed with.
        recurrence: What was measured to be the faster way through a gated net's steps; None: nothing was.
    """

    snapshot: Snapshot | None
    lengths: Sequence[Lengths] | None
    threads: int | None
    recurrence: str | None = None

    @classmethod
    def of(cls, checkpoint: Mapping[str, Any], snapshot: Snapshot, lengths: Sequence[Lengths]) -> Self:
        """Where some replicas of a checkpoint were, computed as they were then."""
        return cls(snapshot, lengths, checkpoint["threads"], checkpoint.get("recurrence"))


class Session:
    """One batched run: builds the parts, and is the listener of its training.

    Attributes:
        keeper: Of the jobs' folders.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        *,
        quiet: bool,
        start: Start | None = None,
        group: Group | None = None,
        world: World = ALONE,
    ) -> None:
        """Build everything; nothing is written.

        Args:
            jobs: They agree in everything but the fields marked per replica.
            quiet: No progress on the terminal.
            start: Where an earlier process left them; None: nowhere, their folders hold no records.
            group: None: a run alone, whose checkpoint lies in its own folder.
            world: The processes that train together; this is the first of them.

        Raises:
            ConfigError: They do not agree, or do not fit this machine.
        """
        self.jobs, self.quiet, self.start, self.group, self.world = jobs, quiet, start, group, world
        self.config = jobs[0].config
        self.device = resolve_device(self.config.device)
        self.built: Built = build([job.config for job in jobs])
        self.captures = check_graphs(self.config, self.built, self.device, world)
        needed = check_memory(self.config, self.built, len(jobs), self.device)
        prepare_arithmetic()
        measured = self._settle_recurrence()
        backend = check_backend(self.config, self.built, self.device)
        known = None if start is None else start.threads
        self.threads = known or resolve_threads(self.config, self.built, len(jobs), self.device)
        if not quiet:
            where = count(self.threads, "thread") if self.device.type == "cpu" else f"{self.device} by {backend}"
            where += ", updates as CUDA graphs" if self.captures else ""
            what = "" if group is None else f"{group.label}: "
            say(f"{what}{where}, about {needed / MEBIBYTE:,.0f} MiB of memory")
        dtype = getattr(torch, self.config.dtype)
        self.engine = Engine(self.built.model, self.threads, self.device, dtype, self.built.num_traced)
        facts: dict[str, Any] = {
            "solved_error_rate": self.built.task.solved_error_rate,
            "baseline_loss": self.built.task.baseline_loss,
            "baseline_error_rate": self.built.task.baseline_error_rate,
            "versions": versions(),
            "device": str(self.device),
            "threads": self.threads,
            "recurrence": measured,
            "git": git_revision(),
            "classes": places_of([self.config]),
        }
        self.keeper = Keeper(jobs, group, facts, self.built.model.layout)
        if start is not None and start.snapshot is not None:
            self.keeper.refresh(start.snapshot.replicas)
        self.group_checkpoint_due = 0.0

    def _settle_recurrence(self) -> str | None:
        """Have the faster way through a gated net's steps; what was measured, now or before, or None."""
        if self.world.size > 1:
            return None  # every process would measure for itself
        known = None if self.start is None else self.start.recurrence
        settled = resolve_recurrence(
            self.config, self.built, len(self.jobs), self.device, captures=self.captures, known=known
        )
        if settled is self.built:
            return None
        self.built = settled
        return str(settled.model.recurrence)

    def run(self) -> int:
        """Train to the end.

        Returns:
            The exit status: 0 ended as planned, 1 a job failed, 128 + N ended by signal N.

        Raises:
            TooManyReplicasError: Memory is used up by a batched run, which could go on in two halves.
        """
        status = FAILED
        with Interrupt() if self.world.size == 1 else SharedInterrupt(self.world) as interrupt:
            try:
                self._train(interrupt)
                failed = any(summary.status == "failed" for summary in self.keeper.summaries)
                status = FAILED if failed else OK
                status = status if interrupt.signal is None else of_signal(interrupt.signal)
            except RecordError as error:
                self.keeper.fail(f"records could not be written: {error}", error)
            except Exception as error:
                if not is_out_of_memory(error):
                    self.keeper.fail(f"{type(error).__name__}: {error}", error)
                elif self.group is not None and len(self.jobs) > 1:
                    raise TooManyReplicasError from error
                else:
                    self.keeper.fail("out of memory; lower the batch sizes", error)
            finally:
                self.engine.close()
        return status

    def _train(self, interrupt: Interrupt) -> None:
        built, config, jobs = self.built, self.config, self.jobs
        problem = Problem(built.task, self.engine, [job.config.seed for job in jobs], self.world)
        theta = draw_parameters(built.model, built.inits, problem.seeds, self.engine)
        probes, names = scheduled_probes(config, built), record_columns(config, built)
        self.progress = Progress(
            choose_mode(self.quiet, sys.stderr),
            total=config.budget.updates,
            baseline_loss=built.task.baseline_loss,
            baseline_error_rate=built.task.baseline_error_rate,
            num_replicas=len(jobs),
        )
        self.keeper.begin()
        lengths = None if self.start is None else self.start.lengths
        restart = self.start is not None and lengths is None
        with Records([job.folder for job in jobs], names, lengths=lengths, restart=restart) as records:
            self.keeper.begin_records(records)
            if lengths is None:
                for replica, tree in enumerate(self.keeper.trees):
                    records.hyperparameters(replica, self._hyperparameters(tree), ["loss/eval", "error_rate/eval"])
            with (
                self._aggregate(names) as aggregate,
                Observer(records, probes, self.message, aggregate) as self.observer,
            ):
                give_up = None if config.cuda_graphs == "always" else self.message
                training = Training(
                    problem,
                    built.optimizer,
                    theta,
                    plan_of(config),
                    self.observer,
                    self,
                    interrupt,
                    keeps_previous=built.keeps_previous,
                    captured=CapturedUpdates(problem, built.optimizer, give_up) if self.captures else None,
                )
                if self.start is not None and self.start.snapshot is not None:
                    training.restore(self.start.snapshot)
                try:
                    with self.progress:
                        training.run()
                finally:
                    # What is known when something went wrong is kept: counts and the last evaluation.
                    self.keeper.refresh(training.replicas)
        self.keeper.take_over_broken()

    def _hyperparameters(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration as a table shows it; what a sweep varies comes first."""
        flat = flatten(tree)
        first = [] if self.group is None else [*self.group.shown_first, *(f"{k}.name" for k in self.group.shown_first)]
        return {key: flat[key] for key in dict.fromkeys([*first, *flat]) if key in flat}

    def _aggregate(self, names: Sequence[str]) -> contextlib.AbstractContextManager[LiveAggregate | None]:
        """What sums the replicas up, where the run is one of a sweep."""
        if self.group is None:
            return contextlib.nullcontext()
        return LiveAggregate(self.group.aggregate, names, self.message)

    # ------------------------------------------------------------ what the training tells

    def on_update(self, training: TrainingState, update: Update | None) -> None:
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

    def checkpoint(self, training: TrainingState) -> None:
        """Save the active replicas."""
        self.keeper.refresh(training.replicas)
        active = list(training.active)
        snapshot = training.snapshot(active)
        if self.group is None:
            self.observer.checkpoint(
                partial(self.keeper.save_alone, snapshot, active[0], self.keeper.summaries[active[0]])
            )
            return
        self.group_checkpoint_due = training.seconds + SECONDS_BETWEEN_GROUP_CHECKPOINTS
        summaries = {index: self.keeper.summaries[index] for index in active}
        self.observer.checkpoint(partial(self.keeper.save_group, self.group, snapshot, summaries))

    def ended(self, training: TrainingState, replicas: Sequence[int]) -> None:
        """Save replicas that have ended, each by itself; those that were interrupted are in the group's checkpoint."""
        self.keeper.refresh(training.replicas)
        for index in replicas:
            summary = self.keeper.summaries[index]
            if summary.status == "failed":
                continue  # its folder cannot be written
            if self.group is not None and summary.status == "interrupted":
                self.observer.checkpoint(partial(self.keeper.summarize, {index: summary}))
            else:
                snapshot = training.snapshot([index])
                self.observer.checkpoint(partial(self.keeper.save_alone, snapshot, index, summary))
        if self.group is None or any(training.replicas[index].status == "interrupted" for index in replicas):
            return
        if not training.active or training.seconds >= self.group_checkpoint_due:
            self.checkpoint(training)


def scheduled_probes(config: Config, built: Built) -> dict[str, ScheduledProbe]:
    """The probes of a run, by name, and how often each is read."""
    return {name: ScheduledProbe(probe, config.probe[name].every) for name, probe in built.probes.items()}


def record_columns(config: Config, built: Built) -> list[str]:
    """The columns of a run's metrics.csv."""
    return columns(scheduled_probes(config, built), built.optimizer, built.model, built.task)


def plan_of(config: Config) -> Plan:
    """The training plan that a configuration asks for."""
    budget, record = config.budget, config.record
    return Plan(
        max_updates=budget.updates,
        max_sequences=budget.sequences,
        max_seconds=_seconds(budget.minutes),
        log_every=record.log_every,
        evaluate_every=record.evaluate_every,
        checkpoint_every=record.checkpoint_every,
        checkpoint_seconds=_seconds(record.checkpoint_minutes),
        stop_when_solved=config.stop_when_solved,
    )


def _seconds(minutes: float | None) -> float | None:
    return None if minutes is None else 60 * minutes


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Scalars of a nested configuration by dotted key; lists as text, null as "null"."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            is_scalar = isinstance(value, bool | int | float | str)
            flat[f"{prefix}{key}"] = value if is_scalar else "null" if value is None else str(value)
    return flat
