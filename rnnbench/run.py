"""Runs by themselves: trained from a configuration, or gone on with from their checkpoint."""

import contextlib
import dataclasses
import os
import pickle
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rnnbench.config.build import build
from rnnbench.config.errors import ConfigError
from rnnbench.config.schema import Config
from rnnbench.config.stored import config_from, with_overrides
from rnnbench.config.validate import fields_of
from rnnbench.exit_status import OK
from rnnbench.following import follow
from rnnbench.keeping import CHECKPOINT, Job
from rnnbench.machine import check_graphs, check_memory, check_recurrence, resolve_device
from rnnbench.processors import keep_to_share
from rnnbench.records import RecordError, sweep_of
from rnnbench.records.closing import print_closing_summary
from rnnbench.records.lock import locked_folder
from rnnbench.records.messages import say
from rnnbench.session import Session, Start
from rnnbench.sweep.grouping import group_jobs
from rnnbench.training.checkpoint import load_checkpoint
from rnnbench.training.replica import Snapshot
from rnnbench.training.world import ALONE, World, is_shared, joined


def check_machine(configs: Sequence[Config]) -> None:
    """Check that each configuration, run by itself, fits this machine.

    Raises:
        ConfigError: A device is not there, or cannot run the model so, or a run needs more memory than there is.
    """
    for jobs in group_jobs(configs):
        members = [configs[job] for job in jobs]
        built, device = build(members), resolve_device(members[0].device)
        check_recurrence(members[0], built, device)
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


def follow_resumed_run(folder: Path, overrides: Sequence[str]) -> int:
    """Take part in a run that the first process of torchrun goes on with; see `resume_run`."""
    config, checkpoint = _read(folder, overrides)
    if is_finished(checkpoint["status"], config):
        return OK
    with world_of(config) as world:
        return follow(config, Snapshot.from_contents(checkpoint), world)


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


def resume_run(folder: Path, overrides: Sequence[str], *, quiet: bool) -> int:
    """Go on with a run from its checkpoint, to the very numbers that it would have had without the interruption.

    Args:
        folder: Its run folder.
        overrides: A larger budget, as KEY=VALUE.
        quiet: No progress on the terminal.

    Returns:
        The exit status, as of `run_job`; 0 where the run is finished already.

    Raises:
        ConfigError: The folder holds no checkpoint, or one of another program; or an override is wrong.
        RecordError: Another process works on it, or on the sweep that it belongs to.
    """
    with contextlib.ExitStack() as locks:
        for held in (sweep_of(folder), folder):
            if held is not None:
                locks.enter_context(locked_folder(held))
        return _resume(folder, overrides, quiet=quiet)


def _resume(folder: Path, overrides: Sequence[str], *, quiet: bool) -> int:
    """Go on with a run that is held by this process alone."""
    config, checkpoint = _read(folder, overrides)
    updates = checkpoint["update"]
    if is_finished(checkpoint["status"], config):
        say(f"{folder} is finished: {checkpoint['status']} after {updates} updates")
        return OK
    start = Start.of(checkpoint, Snapshot.from_contents(checkpoint), checkpoint["records"])
    if not quiet:
        say(f"{config.name} goes on after update {updates} -> {folder}")
    with world_of(config) as world:
        return _finish(Session([Job(config, folder)], quiet=quiet, start=start, world=world))


def _read(folder: Path, overrides: Sequence[str]) -> tuple[Config, dict[str, Any]]:
    """The configuration with which a run goes on, and its checkpoint."""
    checkpoint = read_checkpoint(folder / CHECKPOINT)
    config = config_from(checkpoint["config"], checkpoint["schema"])
    return with_overrides(dataclasses.replace(config, threads=checkpoint["threads"]), overrides), checkpoint


def read_checkpoint(path: Path, purpose: str = "resumed") -> dict[str, Any]:
    """Read a checkpoint.

    Args:
        path: The file.
        purpose: What the run was to be, for the message.

    Raises:
        ConfigError: It is missing, damaged, or of another program.
    """
    try:
        return load_checkpoint(path)
    except (OSError, EOFError, RecordError, RuntimeError, pickle.UnpicklingError) as error:
        reason, *_ = [*str(error).splitlines(), f"{path.name} is empty"]
        raise ConfigError(f"{path.parent} cannot be {purpose}: {reason}") from error


def is_finished(status: str, config: Config) -> bool:
    """Whether a run that ended so has nothing left to do, whatever its budget."""
    return status == "diverged" or (status == "solved" and config.stop_when_solved)


def _finish(session: Session) -> int:
    """Run, and say what came of it."""
    status = session.run()
    print_closing_summary(session.keeper.summaries, [job.folder for job in session.jobs], sys.stdout)
    return status
