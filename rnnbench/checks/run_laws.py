"""Laws of a whole run, which its records show."""

import csv
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from rnnbench.checks.law import SIZES, Law, LawError
from rnnbench.config.schema import Config
from rnnbench.config.trust import Trusted
from rnnbench.exit_status import OK
from rnnbench.records.summary import CHECKPOINT
from rnnbench.run.job_folders import Job
from rnnbench.run.setup import set_up
from rnnbench.run.single_run import resume_run, run_job
from rnnbench.training.checkpoint import load_checkpoint

UPDATES = 2, 4
"""Number of updates before and after the interruption."""


@dataclass(frozen=True)
class RunCase:
    """A run.

    Attributes:
        configure: Returns its configuration, given the number of updates.
        trusted: Folders of its classes.
    """

    configure: Callable[[int], Config]
    trusted: Trusted


def resumes_bit_for_bit(case: RunCase) -> None:
    """A run that is interrupted and resumed ends with the parameters, state and rows of one that is not."""
    half, whole = UPDATES
    with tempfile.TemporaryDirectory(prefix="rnnbench_check_") as folder:
        for name, updates in (("whole", whole), ("resumed", half)):
            (Path(folder) / name).mkdir()
            config = case.configure(updates)
            job = Job(config, Path(folder) / name)
            if run_job(job, set_up([config]), quiet=True, closing=False) != OK:
                raise LawError(f"a run of {updates} updates ends with an error")
        resume_run(
            Path(folder) / "resumed", [f"budget.updates={whole}"], quiet=True, closing=False, trusted=case.trusted
        )
        _compare(Path(folder) / "whole", Path(folder) / "resumed")


def _compare(whole: Path, resumed: Path) -> None:
    """Compare the records of two runs."""
    ours, theirs = (load_checkpoint(folder / CHECKPOINT) for folder in (resumed, whole))
    if not torch.equal(ours["theta"], theirs["theta"]):
        raise LawError("theta differs after the run is resumed; all that an update needs must be in the state")
    for name, tensor in theirs["optimizer_state"].items():
        if not torch.equal(ours["optimizer_state"][name], tensor):
            raise LawError(f"state {name} differs after the run is resumed")
    rows = [_rows(folder / "metrics.csv") for folder in (resumed, whole)]
    for one, other in zip(*rows, strict=True):
        for tag in one.keys() | other.keys():
            if not tag.startswith("time/") and one.get(tag) != other.get(tag):
                raise LawError(f"{tag} at update {one['update']} differs after the run is resumed")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


RUN_LAWS: tuple[Law[RunCase], ...] = (
    Law(
        "a resumed run is the uninterrupted one, bit for bit",
        "What a run has learned would depend on where it was interrupted.",
        resumes_bit_for_bit,
        SIZES[-1:],
    ),
)
