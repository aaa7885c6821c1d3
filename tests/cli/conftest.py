import logging
import os
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rnnbench import cli
from rnnbench.run.process import ENVIRONMENT


@dataclass
class Answer:
    """What a call of the command gave."""

    status: int
    out: str
    err: str


@pytest.fixture
def rnnbench(tmp_path, monkeypatch, capsys):
    """Call the command in an empty folder; what it does to the process is undone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ENVIRONMENT:
        monkeypatch.setenv(name, "")  # so that it is absent again afterwards
        monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def call(*words):
        try:
            status = cli.main(list(words))
        except SystemExit as ended:
            status = ended.code
        captured = capsys.readouterr()
        return Answer(status, captured.out, captured.err)

    yield call
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


@dataclass
class Job:
    config: Any
    folder: Path


class NoSweep:
    """Stands for a batched sweep that runs nothing."""

    status = 0

    def __init__(self, *arguments, **options): ...

    def print_summary(self): ...


@dataclass
class Batch:
    jobs: list[int]
    setup: Any = None


class Runs:
    """Stands for the training: remembers what it was asked to train, and answers with statuses given beforehand."""

    def __init__(self):
        self.jobs = []
        self.quiet = []
        self.checked = []
        self.statuses = []
        self.environment = {}
        self.refusal = None

    def batch_jobs(self, configs, world):
        self.checked = list(configs)
        if self.refusal is not None:
            raise self.refusal
        return [Batch([number]) for number in range(len(configs))]

    def run_job(self, job, setup, *, quiet, closing):
        self.jobs.append(job)
        self.quiet.append(quiet)
        self.environment = {name: os.environ[name] for name in ENVIRONMENT}
        return self.statuses.pop(0) if self.statuses else 0


@pytest.fixture
def runs(monkeypatch):
    runs = Runs()
    stand_ins = {
        "run.single_run": {"run_job": runs.run_job, "this_world": lambda: None, "work_on_run": None},
        "run.setup": {"set_up": lambda configs: None},
        "run.job_folders": {"Job": Job},
        "sweeps.batches": {"batch_jobs": runs.batch_jobs},
        "sweeps.batched_sweep": {"BatchedSweep": NoSweep},
    }
    for name, contents in stand_ins.items():
        module = types.ModuleType(f"rnnbench.{name}")
        module.__dict__.update(contents)
        monkeypatch.setitem(sys.modules, f"rnnbench.{name}", module)
    monkeypatch.delitem(sys.modules, "rnnbench.sweeps.hydra_jobs", raising=False)
    monkeypatch.setattr("rnnbench.commands.train.check_targets", lambda configs: None)
    return runs
