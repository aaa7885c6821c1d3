"""What a run by itself goes on from, found without writing anything."""

import contextlib
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rnnbench.config.errors import ConfigError
from rnnbench.config.schema import Config
from rnnbench.config.trust import Trusted
from rnnbench.keeping import CHECKPOINT
from rnnbench.records import RecordError, read_summary
from rnnbench.records.continuing import ShortRecordsError, check_continued, covered_lengths
from rnnbench.records.metrics_csv import last_row
from rnnbench.records.wording import count
from rnnbench.resume_point import Contents, Form, load_job, load_latest, stored_config
from rnnbench.session import Start
from rnnbench.training.checkpoint import previous_checkpoint, save_checkpoint
from rnnbench.training.replica import Snapshot


@dataclass(frozen=True)
class FoundRun:
    """A run that can go on.

    Attributes:
        folder: Its run folder.
        config: The configuration with which it goes on.
        start: Where it is.
        status: How it stood at its checkpoint; None: it begins anew.
        updates: Updates done.
        warnings: What is lost, in sentences.
        checkpoint: What its checkpoint has to hold by the time that it goes on; None: it holds that already.
    """

    folder: Path
    config: Config
    start: Start
    status: str | None = None
    updates: int = 0
    warnings: Sequence[str] = ()
    checkpoint: Contents | None = None

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.status is not None and is_finished(self.status, self.config)

    def settle(self) -> None:
        """Make the checkpoint that it goes on from the latest one."""
        if self.checkpoint is not None:
            save_checkpoint(self.folder / CHECKPOINT, self.checkpoint, keep_previous=False)


def is_finished(status: str, config: Config) -> bool:
    """Whether a run that ended so has nothing left to do, whatever its budget."""
    return status == "diverged" or (status == "solved" and config.stop_when_solved)


def find_run(folder: Path, overrides: Sequence[str], trusted: Trusted, *, accept_gap: bool = False) -> FoundRun:
    """Find where a run is; nothing is written.

    Args:
        folder: Its run folder.
        overrides: A larger budget, as KEY=VALUE.
        trusted: The folders and modules whose classes may be imported.
        accept_gap: Go on also where rows are missing that the checkpoint counts.

    Raises:
        ConfigError: The folder holds nothing to go on from, or names a class that may not be imported; or an override
            is wrong.
        RecordError: A record is damaged.
    """
    path = folder / CHECKPOINT
    if not path.exists() and not previous_checkpoint(path).exists():
        return _at_its_beginning(folder, overrides, trusted)
    load = partial(_load, folder, overrides, trusted, accept_gap)
    try:
        contents, problem = load_latest(path, load)
    except ShortRecordsError as error:
        raise RecordError(with_way_on(error, folder)) from error
    config, updates = _config(path, contents, overrides, trusted), contents["update"]
    warnings, lengths = [], contents["records"]
    if problem is not None:
        warnings.append(
            f"{problem}; the run goes on from the checkpoint before it, {repeated(last_update(folder) or 0, updates)}"
        )
    if accept_gap:
        lengths = [covered_lengths(folder, Form.of(config).header, lengths[0])]
        if lengths != contents["records"]:
            warnings.append(f"rows before update {updates} are missing in {folder}, and stay so")
    start = Start.of(contents, Snapshot.from_contents(contents), lengths)
    checkpoint = {**contents, "records": lengths} if warnings else None
    return FoundRun(folder, config, start, contents["status"], updates, warnings, checkpoint)


def _load(folder: Path, overrides: Sequence[str], trusted: Trusted, accept_gap: bool, path: Path) -> Contents:
    """Read a checkpoint of a run, and check that the run can go on from it."""
    contents = load_job(path)
    config = _config(path, contents, overrides, trusted)
    form = Form.of(config)
    form.check(path, Snapshot.from_contents(contents))
    if not accept_gap and not is_finished(contents["status"], config):
        check_continued(folder, form.header, contents["records"][0])
    return contents


def _config(path: Path, contents: Contents, overrides: Sequence[str], trusted: Trusted) -> Config:
    """The configuration with which a run goes on."""
    config = stored_config(contents, path, trusted, overrides)
    return dataclasses.replace(config, threads=contents["threads"] or config.threads)


def _at_its_beginning(folder: Path, overrides: Sequence[str], trusted: Trusted) -> FoundRun:
    """A run that was ended before its first checkpoint; it begins anew."""
    summary = read_summary(folder)
    if (last_update(folder) or 0) > 0:
        raise ConfigError(f"{folder} has lost its {CHECKPOINT}: its records stay, and it cannot go on")
    if not summary.schema:
        raise ConfigError(f"{folder} was ended before its first checkpoint: remove it, and train anew")
    contents = {
        "config": summary.config,
        "schema": summary.schema,
        "classes": summary.classes,
        "threads": summary.threads,
    }
    start = Start(None, None, summary.threads, summary.recurrence)
    return FoundRun(folder, _config(folder / "summary.json", contents, overrides, trusted), start)


def with_way_on(error: ShortRecordsError, folder: Path) -> str:
    """What is missing, and how a run or a sweep goes on without it."""
    return f"{error}; `rnnbench resume {folder} --accept-gap` goes on without what is missing"


def repeated(recorded: int, updates: int) -> str:
    """Which updates are done once more, in words.

    Args:
        recorded: Updates that the records tell of.
        updates: Those of the checkpoint.
    """
    number = recorded - updates
    return f"after update {updates}" + (f": {count(number, 'update')} are repeated" if number > 0 else "")


def last_update(folder: Path) -> int | None:
    """Updates that the records of a run tell of; None: they cannot be read."""
    known = []
    row = last_row(folder, ["update"])
    if row is not None:
        known.append(int(row[0]))
    with contextlib.suppress(RecordError):
        known.append(read_summary(folder).updates)
    return max(known, default=None)
