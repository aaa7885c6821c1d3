import logging
import os
import sys
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rnnbench import cli
from rnnbench.hydra_command import ENVIRONMENT


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

    def call(*words: str) -> Answer:
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


class Runs:
    """Stands for `rnnbench.run`: remembers what it was asked to run, and answers with statuses given beforehand."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.quiet: list[bool] = []
        self.checked: list[Any] = []
        self.statuses: list[int] = []
        self.environment: dict[str, str] = {}
        self.refusal: Exception | None = None

    def check_machine(self, configs: Any) -> None:
        self.checked = list(configs)
        if self.refusal is not None:
            raise self.refusal

    def run_job(self, job: Job, *, quiet: bool) -> int:
        self.jobs.append(job)
        self.quiet.append(quiet)
        self.environment = {name: os.environ[name] for name in ENVIRONMENT}
        return self.statuses.pop(0) if self.statuses else 0


@pytest.fixture
def runs(monkeypatch):
    runs = Runs()
    module = types.ModuleType("rnnbench.run")
    module.__dict__.update(check_machine=runs.check_machine, run_job=runs.run_job)
    monkeypatch.setitem(sys.modules, "rnnbench.run", module)
    keeping = types.ModuleType("rnnbench.keeping")
    keeping.__dict__.update(Job=Job)
    monkeypatch.setitem(sys.modules, "rnnbench.keeping", keeping)
    monkeypatch.setattr("rnnbench.config.classes.check_targets", lambda configs: None)
    return runs
