"""A single run as it was saved, read without writing anything."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rnnbench.config.errors import ConfigError
from rnnbench.config.schema import Config
from rnnbench.config.trust import Trusted
from rnnbench.records import RecordError, read_summary
from rnnbench.records.continuing import ShortRecordsError, check_continued, covered_lengths
from rnnbench.records.metrics_csv import last_row
from rnnbench.records.summary import CHECKPOINT
from rnnbench.records.wording import count
from rnnbench.run.checkpoint_reading import Contents, Form, has_checkpoint, load_job, load_latest, stored_config
from rnnbench.run.resume_point import ResumePoint
from rnnbench.run.schedule import training_plan
from rnnbench.run.setup import RunSetup, set_up
from rnnbench.training.checkpoint import save_checkpoint
from rnnbench.training.replica import Snapshot
from rnnbench.training.world import World


@dataclass(frozen=True)
class SavedRun:
    """A run that can be resumed.

    Attributes:
        folder: Run folder.
        config: Configuration of the resumed run.
        setup: Objects of the resumed run.
        start: State from which it is resumed.
        status: Status of the run at its checkpoint; None: it restarts.
        updates: Number of updates done.
        warnings: Sentences that name lost updates or rows.
        checkpoint: Contents to write to the checkpoint before training resumes; None: the file holds them already.
    """

    folder: Path
    config: Config
    setup: RunSetup
    start: ResumePoint
    status: str | None = None
    updates: int = 0
    warnings: Sequence[str] = ()
    checkpoint: Contents | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.status is not None and is_finished(self.status, self.config)

    @property
    def used_up(self) -> str | None:
        """The message that names the budget that the run has used up; None: it has some left."""
        return None if self.start.snapshot is None else used_up(self.start.snapshot, self.config)

    def settle(self) -> None:
        """Write the checkpoint from which the run is resumed, if it is not the latest one."""
        if self.checkpoint is not None:
            save_checkpoint(self.folder / CHECKPOINT, self.checkpoint, keep_previous=False)


@dataclass(frozen=True)
class _Loaded:
    """A checkpoint from which the run can be resumed."""

    contents: Contents
    config: Config
    setup: RunSetup
    form: Form


def is_finished(status: str, config: Config) -> bool:
    """Whether a run with this last status has nothing left to do, whatever its budget."""
    return status == "diverged" or (status == "solved" and config.stop_when_solved)


def used_up(snapshot: Snapshot, config: Config, place: int = 0) -> str | None:
    """The message that names the budget that a run has used up; None: it has some left.

    Args:
        snapshot: State of the run, perhaps together with others.
        config: Configuration of the run.
        place: Index of the run in the snapshot.
    """
    replica = snapshot.replicas[place]
    return training_plan(config).used_up(replica.updates, replica.sequences, replica.seconds)


def read_saved_run(
    folder: Path, overrides: Sequence[str], trusted: Trusted, world: World, *, accept_gap: bool = False
) -> SavedRun:
    """Read the state of a run and build its objects; nothing is written.

    Args:
        folder: Run folder.
        overrides: A larger budget, as KEY=VALUE.
        trusted: Folders and modules whose classes may be imported.
        world: The processes that train the run.
        accept_gap: Whether to resume even if rows are missing that were on disk at the checkpoint.

    Raises:
        ConfigError: The folder holds nothing to resume, or names a class that may not be imported; an override is
            wrong; or the run does not fit this machine.
        RecordError: A record is damaged.
    """
    path = folder / CHECKPOINT
    if not has_checkpoint(folder):
        return _at_its_beginning(folder, overrides, trusted, world)
    try:
        loaded, problem = load_latest(path, partial(_load, folder, overrides, trusted, world, accept_gap))
    except ShortRecordsError as error:
        raise RecordError(with_remedy(error, folder)) from error
    contents, config = loaded.contents, loaded.config
    updates, warnings, lengths = contents["update"], [], contents["records"]
    if problem is not None:
        warnings.append(
            f"{problem}; the run resumes from the previous checkpoint, {repeated(last_update(folder) or 0, updates)}"
        )
    if accept_gap:
        lengths = [covered_lengths(folder, loaded.form.header, lengths[0])]
        if lengths != contents["records"]:
            warnings.append(f"rows before update {updates} are missing in {folder} and stay missing")
    start = ResumePoint.of(contents, Snapshot.from_contents(contents), lengths)
    checkpoint = {**contents, "records": lengths} if warnings else None
    return SavedRun(folder, config, loaded.setup, start, contents["status"], updates, warnings, checkpoint)


def _load(
    folder: Path, overrides: Sequence[str], trusted: Trusted, world: World, accept_gap: bool, path: Path
) -> _Loaded:
    """Read a checkpoint of a run, and check that the run can be resumed from it."""
    contents = load_job(path)
    config = _config(path, contents, overrides, trusted)
    setup = set_up([config], world, starts=False)
    form = Form.of(setup)
    form.check(path, Snapshot.from_contents(contents))
    if not accept_gap and not is_finished(contents["status"], config):
        check_continued(folder, form.header, contents["records"][0])
    return _Loaded(contents, config, setup, form)


def _config(path: Path, contents: Contents, overrides: Sequence[str], trusted: Trusted) -> Config:
    """Return the configuration of the resumed run."""
    return stored_config(contents, path, trusted, overrides)


def _at_its_beginning(folder: Path, overrides: Sequence[str], trusted: Trusted, world: World) -> SavedRun:
    """Return a run that ended before its first checkpoint; it restarts."""
    summary = read_summary(folder)
    if (last_update(folder) or 0) > 0:
        raise ConfigError(f"{folder} has lost its {CHECKPOINT} and cannot be resumed; its records are kept")
    if not summary.schema:
        raise ConfigError(f"{folder} ended before its first checkpoint: remove the folder and train again")
    contents = {
        "config": summary.config,
        "schema": summary.schema,
        "classes": summary.classes,
        "threads": summary.threads,
    }
    config = _config(folder / "summary.json", contents, overrides, trusted)
    return SavedRun(
        folder, config, set_up([config], world), ResumePoint(None, None, summary.threads, summary.recurrence)
    )


def with_remedy(error: ShortRecordsError, folder: Path) -> str:
    """Return a message with the missing records and the command that resumes a run or a sweep without them."""
    return f"{error}; `rnnbench resume {folder} --accept-gap` resumes without the missing rows"


def repeated(recorded: int, updates: int) -> str:
    """Describe where a run is resumed and how many updates are repeated.

    Args:
        recorded: Number of updates in the records.
        updates: Number of updates in the checkpoint.
    """
    number = recorded - updates
    return f"after update {updates}" + (f": {count(number, 'update')} are repeated" if number > 0 else "")


def last_update(folder: Path) -> int | None:
    """Return the number of updates in the records of a run; None: they cannot be read."""
    known = []
    row = last_row(folder, ["update"])
    if row is not None:
        known.append(int(row[0]))
    with contextlib.suppress(RecordError):
        known.append(read_summary(folder).updates)
    return max(known, default=None)
