"""Runs a command of `rnnbench` in its own process and measures its processor time by thread.

usage: python -m benchmarks.watched ACCOUNTS with|without WORDS

It runs `rnnbench WORDS` and writes the times of its batched runs to the file ACCOUNTS, as JSON. With `without`, all
rows, probes and checkpoints are discarded on the training thread.
"""

import functools
import json
import runpy
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

from rnnbench.run.process import prepare_process

TRAINING, PROBES, RECORDS = "training", "rnnbench-probes", "records"
"""Keys of the threads; the last two are prefixes of thread names."""


class Account(TypedDict):
    """Contents of the file, in seconds; see `Accounts`."""

    wall: float
    processor: float
    logging: dict[str, float]


class Accounts:
    """Seconds of all batched runs of a process.

    Attributes:
        wall: Wall-clock time from the first row to closed files.
        processor: Processor seconds of all threads during this time.
        logging: Processor seconds of each thread for records, probes and checkpoints.
    """

    def __init__(self) -> None:
        self.wall = self.processor = 0.0
        self.logging = dict.fromkeys((TRAINING, PROBES, RECORDS), 0.0)
        self._depth = 0

    def written(self) -> Account:
        """Return the contents of the file."""
        return Account(wall=self.wall, processor=self.processor, logging=self.logging)

    def of_a_run(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap the method that runs a batched run, to measure it."""

        @functools.wraps(run)
        def measured(*arguments: Any, **named: Any) -> Any:
            wall, processor = time.perf_counter(), time.process_time()
            try:
                return run(*arguments, **named)
            finally:
                self.wall += time.perf_counter() - wall
                self.processor += time.process_time() - processor

        return measured

    def of_the_training_thread(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a method that logs on the training thread, to measure it; nested calls are counted once."""

        @functools.wraps(call)
        def measured(*arguments: Any, **named: Any) -> Any:
            start = time.thread_time()
            self._depth += 1
            try:
                return call(*arguments, **named)
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.logging[TRAINING] += time.thread_time() - start

        return measured

    def of_other_threads(self, run: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap `Thread.run`, to measure whole threads when they end."""

        @functools.wraps(run)
        def measured(thread: threading.Thread) -> None:
            try:
                run(thread)
            finally:
                for name in (PROBES, RECORDS):
                    if thread.name.startswith(name):
                        self.logging[name] += time.thread_time()

        return measured


def watch(accounts: Accounts, *, keeps_records: bool) -> None:
    """Measure everything that runs from now on.

    Args:
        accounts: Totals to which the times are added.
        keeps_records: Whether records are written; otherwise they are discarded.
    """
    from rnnbench.records.writer import Records
    from rnnbench.run.batched_run import BatchedRun
    from rnnbench.run.checkpoints import Checkpoints
    from rnnbench.run.job_folders import JobFolders
    from rnnbench.training.observation import Observer

    observed = ("observe", "settle", "checkpoint")
    if not keeps_records:
        for name in observed:
            setattr(Observer, name, lambda *arguments, **named: None)
    on_the_training_thread: dict[type, Sequence[str]] = {
        Observer: observed,
        Checkpoints: ("save_active", "save_ended"),
        JobFolders: ("begin",),
        Records: ("__init__", "hyperparameters"),
    }
    for kind, names in on_the_training_thread.items():
        for name in names:
            setattr(kind, name, accounts.of_the_training_thread(getattr(kind, name)))
    for kind, name, measure in (
        (BatchedRun, "run", accounts.of_a_run),
        (threading.Thread, "run", accounts.of_other_threads),
    ):
        setattr(kind, name, measure(getattr(kind, name)))


def main(words: Sequence[str]) -> None:
    """Run the command and write the accounts, even if it fails."""
    path, kept, *command = words
    accounts = Accounts()
    prepare_process()
    watch(accounts, keeps_records=kept == "with")
    sys.argv = ["rnnbench", *command]
    try:
        runpy.run_module("rnnbench", run_name="__main__", alter_sys=True)
    finally:
        Path(path).write_text(json.dumps(accounts.written()), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
