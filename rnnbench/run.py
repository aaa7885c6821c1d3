"""Runs by themselves: trained from a configuration, or gone on with from their checkpoint."""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rnnbench.config.build import build
from rnnbench.config.errors import ConfigError
from rnnbench.config.schema import Config
from rnnbench.config.trust import NOTHING, Trusted
from rnnbench.config.validate import fields_of
from rnnbench.exit_status import OK
from rnnbench.following import follow
from rnnbench.keeping import Job
from rnnbench.machine import check_backend, check_graphs, check_memory, resolve_device
from rnnbench.processors import keep_to_share
from rnnbench.records import sweep_of
from rnnbench.records.closing import print_closing_summary
from rnnbench.records.lock import locked_folder
from rnnbench.records.messages import say
from rnnbench.resuming import FoundRun, find_run
from rnnbench.session import Session
from rnnbench.sweep.grouping import group_jobs
from rnnbench.training.world import ALONE, World, is_shared, joined


def check_machine(configs: Sequence[Config]) -> None:
    """Check that each configuration, run by itself, fits this machine.

    Raises:
        ConfigError: A device is not there, or cannot run the model so, or a run needs more memory than there is.
    """
    for jobs in group_jobs(configs):
        members = [configs[job] for job in jobs]
        built, device = build(members), resolve_device(members[0].device)
        check_backend(members[0], built, device)
        check_graphs(members[0], built, device, ALONE)
        check_memory(members[0], built, 1, device)


def run_job(job: Job, *, quiet: bool) -> int:
    """Train one run by itself.

    Args:
        job: Its configuration and folder, which the caller holds.
        quiet: No progress on the terminal.

    Returns:
        The exit status: 0 ended as planned, 1 failed, 128 + N ended by signal N.

    Raises:
        ConfigError: It does not fit this machine; nothing has been written then.
    """
    with world_of(job.config) as world:
        return _finish(Session([job], quiet=quiet, world=world))


def follow_job(config: Config) -> int:
    """Take part in a run that the first process of torchrun records; returns the exit status, as of `run_job`.

    Args:
        config: Of the run.
    """
    with world_of(config) as world:
        return follow(config, None, world)


def follow_resumed_run(
    folder: Path, overrides: Sequence[str], *, trusted: Trusted = NOTHING, accept_gap: bool = False
) -> int:
    """Take part in a run that the first process of torchrun goes on with; see `resume_run`."""
    found = find_run(folder, overrides, trusted, accept_gap=accept_gap)
    if found.is_finished:
        return OK
    with world_of(found.config) as world:
        return follow(found.config, found.start.snapshot, world)


@contextlib.contextmanager
def world_of(config: Config) -> Iterator[World]:
    """The processes that train a run: those that torchrun has started, else this one alone.

    Raises:
        ConfigError: A batch has fewer sequences than there are processes.
    """
    if not is_shared(os.environ):
        yield ALONE
        return
    with joined(resolve_device(config.device)) as world:
        for key, value, _ in fields_of(config.optim, "optim."):
            if key.endswith("batch_size") and value < world.size:
                raise ConfigError(f"{key}={value} cannot be shared by {world.size} processes")
        keep_to_share(int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"]))
        yield world


def resume_run(
    folder: Path, overrides: Sequence[str], *, quiet: bool, trusted: Trusted = NOTHING, accept_gap: bool = False
) -> int:
    """Go on with a run from its checkpoint, to the very numbers that it would have had without the interruption.

    A run that was ended before its first checkpoint begins anew. Nothing is written before everything has been read.

    Args:
        folder: Its run folder.
        overrides: A larger budget, as KEY=VALUE.
        quiet: No progress on the terminal.
        trusted: The folders and modules whose classes may be imported.
        accept_gap: Go on also where rows are missing that the checkpoint counts.

    Returns:
        The exit status, as of `run_job`; 0 where the run is finished already.

    Raises:
        ConfigError: The folder holds nothing to go on from; it names a class that may not be imported; or an override
            is wrong.
        RecordError: A record is damaged, or another process works on the run, or on the sweep that it belongs to.
    """
    with contextlib.ExitStack() as locks:
        for held in (sweep_of(folder), folder):
            if held is not None:
                locks.enter_context(locked_folder(held))
        return _resume(find_run(folder, overrides, trusted, accept_gap=accept_gap), folder, quiet=quiet)


def _resume(found: FoundRun, folder: Path, *, quiet: bool) -> int:
    """Go on with a run that is held by this process alone."""
    if found.is_finished:
        say(f"{folder} is finished: {found.status} after {found.updates} updates")
        return OK
    check_machine([found.config])
    for line in found.warnings:
        say(line)
    if not quiet:
        how = "begins anew" if found.start.snapshot is None else f"goes on after update {found.updates}"
        say(f"{found.config.name} {how} -> {folder}")
    with world_of(found.config) as world:  # all processes have read the checkpoint by now
        session = Session([Job(found.config, folder)], quiet=quiet, start=found.start, world=world)
        found.settle()
        return _finish(session)


def _finish(session: Session) -> int:
    """Run, and say what came of it."""
    status = session.run()
    print_closing_summary(session.keeper.summaries, [job.folder for job in session.jobs], sys.stdout)
    return status
