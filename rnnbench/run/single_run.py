"""Single runs: trained from a configuration, or resumed from their checkpoint."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rnnbench.config.trust import NOTHING, Trusted
from rnnbench.exit_status import OK
from rnnbench.records import sweep_of
from rnnbench.records.closing import print_closing_summary
from rnnbench.records.lock import locked_folder
from rnnbench.records.messages import say
from rnnbench.records.wording import count
from rnnbench.run.batched_run import BatchedRun
from rnnbench.run.job_folders import Job
from rnnbench.run.log import FILE_NAME as LOG
from rnnbench.run.log import logging_to
from rnnbench.run.process import place_in_torchrun
from rnnbench.run.processors import keep_to_share
from rnnbench.run.saved_run import SavedRun, read_saved_run
from rnnbench.run.setup import RunSetup
from rnnbench.run.worker import work
from rnnbench.training.world import World, joined


def run_job(job: Job, setup: RunSetup, *, quiet: bool, closing: bool = True) -> int:
    """Train a single run.

    Args:
        job: Configuration and folder of the run; the caller has locked the folder.
        setup: Objects of the run.
        quiet: Whether to show no progress on the terminal.
        closing: Whether to print the closing summary.

    Returns:
        The exit status: 0 ended as planned, 1 failed, 128 + N ended by signal N.
    """
    with _joined_world(setup):
        return _finish(BatchedRun(setup, [job], quiet=quiet), closing=closing)


def work_on_run(setup: RunSetup, seed: int) -> int:
    """Train as a worker of a run that the first process of torchrun records; the exit status is that of `run_job`."""
    with _joined_world(setup):
        return work(setup, seed, None)


def work_on_resumed_run(
    folder: Path, overrides: Sequence[str], *, trusted: Trusted = NOTHING, accept_gap: bool = False
) -> int:
    """Train as a worker of a run that the first process of torchrun resumes; see `resume_run`."""
    saved = read_saved_run(folder, overrides, trusted, this_world(), accept_gap=accept_gap)
    if saved.is_finished:
        return OK
    with _joined_world(saved.setup):
        return work(saved.setup, saved.config.seed, saved.start.snapshot)


def this_world() -> World:
    """Return the processes that torchrun has started, or this process alone."""
    return World(*place_in_torchrun())


@contextlib.contextmanager
def _joined_world(setup: RunSetup) -> Iterator[None]:
    """Connect to the other processes of a run, if there are any."""
    if setup.world.size == 1:
        yield
        return
    with joined(setup.device):
        keep_to_share(int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"]))
        yield


def resume_run(
    folder: Path,
    overrides: Sequence[str],
    *,
    quiet: bool,
    closing: bool = True,
    trusted: Trusted = NOTHING,
    accept_gap: bool = False,
) -> int:
    """Resume a run from its checkpoint; the results are bit-identical to those of an uninterrupted run.

    A run that ended before its first checkpoint restarts. Nothing is written before everything has been read.

    Args:
        folder: Run folder.
        overrides: A larger budget, as KEY=VALUE.
        quiet: Whether to show no progress on the terminal.
        closing: Whether to print the closing summary.
        trusted: Folders and modules whose classes may be imported.
        accept_gap: Whether to resume even if rows are missing that were on disk at the checkpoint.

    Returns:
        The exit status, as in `run_job`; 0 if the run is finished already.

    Raises:
        ConfigError: The folder holds nothing to resume; it names a class that may not be imported; or an override is
            wrong.
        RecordError: A record is damaged, or another process has locked the run or the sweep that it belongs to.
    """
    with contextlib.ExitStack() as locks:
        for locked in (sweep_of(folder), folder):
            if locked is not None:
                locks.enter_context(locked_folder(locked))
        saved = read_saved_run(folder, overrides, trusted, this_world(), accept_gap=accept_gap)
        return _resume(saved, quiet=quiet, closing=closing)


def _resume(saved: SavedRun, *, quiet: bool, closing: bool) -> int:
    """Resume a run whose folder is locked."""
    if saved.is_finished:
        say(f"{saved.folder} is finished: {saved.status} after {saved.updates} updates")
        return OK
    for line in saved.warnings:
        say(line)
    if saved.used_up is not None:
        say(f"{saved.folder} has nothing left to do: {saved.used_up}, after {count(saved.updates, 'update')}")
    elif not quiet:
        how = "restarts" if saved.start.snapshot is None else f"resumes after update {saved.updates}"
        say(f"{saved.config.name} {how} -> {saved.folder}")
    log = saved.folder / LOG
    logging = logging_to(log) if log.is_file() else contextlib.nullcontext()
    with _joined_world(saved.setup), logging:  # waits until all processes have read the checkpoint
        run = BatchedRun(saved.setup, [Job(saved.config, saved.folder)], quiet=quiet, start=saved.start)
        saved.settle()
        return _finish(run, closing=closing)


def _finish(run: BatchedRun, *, closing: bool) -> int:
    """Train and, if wanted, print the closing summary."""
    status = run.run()
    if closing:
        print_closing_summary(run.folders.summaries[0], run.folders.jobs[0].folder, sys.stdout)
    return status
