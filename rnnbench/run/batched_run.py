"""One batched run: trains jobs together, as rows of shared tensors, and completes their folders."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from rnnbench.config.build import Built
from rnnbench.config.classes import places_of
from rnnbench.exit_status import FAILED, OK, of_signal
from rnnbench.objective.engine import Engine
from rnnbench.records import RecordError
from rnnbench.records.board import Board
from rnnbench.records.environment import git_revision, versions
from rnnbench.records.live_aggregate import LiveAggregate
from rnnbench.records.messages import say
from rnnbench.records.terminal import Progress, choose_mode
from rnnbench.records.wording import count
from rnnbench.records.writer import Records
from rnnbench.run.callbacks import Messages, RunCallbacks
from rnnbench.run.checkpoints import Checkpoints
from rnnbench.run.hyperparameters import Trial, single_trial
from rnnbench.run.job_folders import Job, JobFolders, SweepGroup
from rnnbench.run.log import log_end, log_start
from rnnbench.run.machine import (
    MEBIBYTE,
    check_backend,
    is_out_of_memory,
    prepare_arithmetic,
    resolve_recurrence,
    resolve_threads,
)
from rnnbench.run.resume_point import ResumePoint
from rnnbench.run.schedule import curriculum, record_board, record_columns, scheduled_probes, training_plan
from rnnbench.run.setup import RunSetup
from rnnbench.training.interrupt import Interrupt
from rnnbench.training.loop import Training
from rnnbench.training.observation import Observer
from rnnbench.training.problem import Problem
from rnnbench.training.stepping import CapturedUpdates
from rnnbench.training.world import SharedInterrupt


class TooManyReplicasError(Exception):
    """A batched run does not fit into memory; its records and its checkpoint are intact."""


class BatchedRun:
    """Trains jobs together, from their objects to their finished folders.

    Attributes:
        folders: Folders of the jobs.
    """

    def __init__(
        self,
        setup: RunSetup,
        jobs: Sequence[Job],
        *,
        quiet: bool,
        start: ResumePoint | None = None,
        group: SweepGroup | None = None,
    ) -> None:
        """Choose threads and backend; nothing is written.

        Args:
            setup: Objects of the run.
            jobs: One job per replica.
            quiet: Whether to show no progress on the terminal.
            start: State from which the jobs are resumed; None: they are new, and their folders hold no records.
            group: Properties of a batched run of a sweep; None: a single run, whose checkpoint is in its own folder.
        """
        prepare_arithmetic()
        built, measured = _with_recurrence(setup, len(jobs), start)
        setup = replace(setup, built=built, backend=check_backend(setup.config, built, setup.device))
        keeps = start is not None and not built.model.ignores_threads(setup.device, setup.dtype)
        known = start.threads if start is not None and keeps else None
        threads = known or resolve_threads(setup.config, built, len(jobs), setup.device)
        self._machine = _description(setup, threads)
        if not quiet:
            say(self._machine if group is None else f"{group.label}: {self._machine}")
        facts: dict[str, Any] = {
            "solved_error_rate": built.task.solved_error_rate,
            "baseline_loss": built.task.baseline_loss,
            "baseline_error_rate": built.task.baseline_error_rate,
            "versions": versions(),
            "device": str(setup.device),
            "threads": threads,
            "recurrence": measured,
            "git": git_revision(),
            "classes": places_of([setup.config]),
        }
        self.folders = JobFolders(jobs, facts, {name: part.shape for name, part in built.model.layout.items()})
        if start is not None and start.snapshot is not None:
            self.folders.refresh(start.snapshot.replicas)
        self._setup, self._jobs, self._start, self._group = setup, jobs, start, group
        self._quiet = quiet
        self._engine = Engine(built.model, threads, setup.device, setup.dtype, built.num_traced)

    def run(self) -> int:
        """Train to the end.

        Returns:
            The exit status: 0 ended as planned, 1 a job failed, 128 + N ended by signal N.

        Raises:
            TooManyReplicasError: Memory is full, but the run could be resumed in two halves.
        """
        world, status = self._setup.world, FAILED
        start = None if self._start is None else self._start.snapshot
        log_start([job.config for job in self._jobs], 0 if start is None else start.update, self._machine)
        with Interrupt() if world.size == 1 else SharedInterrupt(world) as interrupt:
            try:
                self._train(interrupt)
                failed = any(summary.status == "failed" for summary in self.folders.summaries)
                status = FAILED if failed else OK
                status = status if interrupt.signal is None else of_signal(interrupt.signal)
            except RecordError as error:
                self.folders.fail(f"records could not be written: {error}", error)
            except Exception as error:
                if not is_out_of_memory(error):
                    self.folders.fail(f"{type(error).__name__}: {error}", error)
                elif self._group is not None and len(self._jobs) > 1:
                    raise TooManyReplicasError from error
                else:
                    self.folders.fail("out of memory; lower the batch sizes", error)
            finally:
                self._engine.close()
        log_end(self.folders.summaries, [job.folder for job in self._jobs])
        return status

    def _train(self, interrupt: Interrupt) -> None:
        """Open the records and train."""
        setup, built = self._setup, self._setup.built
        problem = Problem(built.task, self._engine, [job.config.seed for job in self._jobs], setup.world)
        snapshot = None if self._start is None else self._start.snapshot
        theta = setup.first_theta(problem.seeds, snapshot, self._engine)
        progress = Progress(
            choose_mode(self._quiet, sys.stderr),
            total=setup.config.budget.updates,
            baseline_loss=built.task.baseline_loss,
            baseline_error_rate=built.task.baseline_error_rate,
            num_replicas=len(self._jobs),
        )
        message = Messages(progress)
        with self._open_records() as records, self._observe(records, message) as observer:
            give_up = None if setup.config.cuda_graphs == "always" else message
            checkpoints = Checkpoints(self.folders, self._group, records, observer)
            training = Training(
                problem,
                built.optimizer,
                theta,
                training_plan(setup.config),
                observer,
                RunCallbacks(progress, message, checkpoints, built.optimizer.shown_metrics),
                interrupt,
                keeps_previous=built.keeps_previous,
                captured=CapturedUpdates(problem, built.optimizer, give_up) if setup.captures else None,
                curriculum=curriculum(setup.config),
                fail_fast=self._group is not None and self._group.fail_fast,
            )
            if snapshot is not None:
                training.restore(snapshot)
            try:
                with progress:
                    training.run()
            finally:
                self.folders.refresh(training.replicas)  # also after an error, to keep counts and the last evaluation
        self.folders.add_broken(records.broken())

    @contextlib.contextmanager
    def _open_records(self) -> Iterator[Records]:
        """Write the first summaries and open the records of all jobs."""
        lengths = None if self._start is None else self._start.lengths
        restart = self._start is not None and lengths is None
        unwritable = self.folders.begin()
        folders, names = [job.folder for job in self._jobs], self._columns()
        with Records(folders, names, lengths=lengths, restart=restart, board=self._board()) as records:
            for index, error in unwritable.items():
                records.fail(index, error)
            if lengths is None:
                records.custom_scalars()
                for replica, trial in enumerate(self._trials()):
                    records.hyperparameters(replica, trial.name, trial.values)
                    if trial.job:
                        records.text(replica, "job", trial.job)
            yield records

    @contextlib.contextmanager
    def _observe(self, records: Records, message: Messages) -> Iterator[Observer]:
        """Start the observer and, if the run is part of a sweep, the live aggregate of the replicas."""
        with contextlib.ExitStack() as stack:
            aggregate = None
            if self._group is not None:
                live = LiveAggregate(self._group.aggregate, self._columns(), message, self._board())
                aggregate = stack.enter_context(live)
            probes = scheduled_probes(self._setup.config, self._setup.built)
            yield stack.enter_context(Observer(records, probes, message, aggregate))

    def _columns(self) -> list[str]:
        return record_columns(self._setup.config, self._setup.built)

    def _trials(self) -> Sequence[Trial]:
        if self._group is not None:
            return self._group.trials
        return [single_trial(job.config, job.folder) for job in self._jobs]

    def _board(self) -> Board:
        return record_board(self._setup.config, self._setup.built)


def _with_recurrence(setup: RunSetup, num_replicas: int, start: ResumePoint | None) -> tuple[Built, str | None]:
    """Choose the faster recurrence of a gated net.

    Returns:
        The objects with this recurrence, and its name if it was measured, now or by an earlier process.
    """
    if setup.world.size > 1:
        return setup.built, None  # the processes might measure different results
    known = None if start is None else start.recurrence
    built = resolve_recurrence(
        setup.config, setup.built, num_replicas, setup.device, captures=setup.captures, known=known
    )
    return built, None if built is setup.built else str(built.model.recurrence)


def _description(setup: RunSetup, threads: int) -> str:
    """Device, threads and memory of the run, for a person."""
    where = count(threads, "thread") if setup.device.type == "cpu" else f"{setup.device} by {setup.backend}"
    if setup.device.type == "cpu" and "since" in setup.backend:
        where += f", sweeps by {setup.backend}"
    where += ", updates as CUDA graphs" if setup.captures else ""
    return f"{where}, about {setup.num_bytes / MEBIBYTE:,.0f} MiB of memory"
