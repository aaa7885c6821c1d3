"""The log of a run: train.log of a single run, groups/N.log of a group of a sweep."""

import contextlib
import logging
import os
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

from rnnbench.config.choices.schedules import recorded_groups
from rnnbench.config.schema import Config
from rnnbench.records import Summary, wording
from rnnbench.records.environment import versions
from rnnbench.records.growing_file import failure
from rnnbench.run.streams import LogFile

FILE_NAME = "train.log"

_FORMAT = "[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"  # Hydra's

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Append what is logged, tracebacks included, to a file; the terminal shows the progress bar.

    Raises:
        RecordError: The file cannot be written.
    """
    try:
        handler = LogFile(path)
    except OSError as error:
        raise failure(f"cannot write {path}", error) from error
    handler.setFormatter(logging.Formatter(_FORMAT))
    root, own = logging.getLogger(), logging.getLogger("rnnbench")
    level = own.level
    root.addHandler(handler)
    own.setLevel(logging.INFO)
    try:
        yield
    finally:
        own.setLevel(level)
        root.removeHandler(handler)
        handler.close()


def log_start(configs: Sequence[Config], first_update: int, machine: str) -> None:
    """Log what is trained, and where.

    Args:
        configs: Configurations of the jobs that are trained together.
        first_update: Updates done before.
        machine: Threads or device, and memory.
    """
    first = configs[0]
    parts = ", ".join(f"{group}={getattr(first, group).name}" for group in recorded_groups(first))
    seeds = wording.count(len(configs), "job") if len(configs) > 1 else f"seed={first.seed}"
    how = f"resumes after update {first_update:,}" if first_update else "starts"
    logger.info("%s %s: %s, %s, budget.updates=%d", first.name, how, parts, seeds, first.budget.updates)
    logger.info("rnnbench %s, process %d on %s: %s", versions()["rnnbench"], os.getpid(), platform.node(), machine)


def log_end(summaries: Sequence[Summary], folders: Sequence[Path]) -> None:
    """Log how each job ended."""
    for summary, folder in zip(summaries, folders, strict=True):
        amounts = f"{wording.count(summary.updates, 'update')}, {wording.duration(summary.seconds)}"
        scores = f"loss {wording.number(summary.loss)}, error rate {wording.percent(summary.error_rate)}"
        message = f": {summary.message}" if summary.message else ""
        logger.info("%s ended: %s after %s, %s%s", folder.name, summary.status, amounts, scores, message)
