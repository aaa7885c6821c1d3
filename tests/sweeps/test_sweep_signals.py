"""Ctrl-C, SIGTERM, a terminal that is closed: the sweep ends in order and goes on to the same numbers."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from forked import SECONDS_AT_MOST
from small_sweeps import NAG, assert_same_sweep, at_update, jobs_of, plan_of, statuses_of, summary_of

from rnnbench.sweeps import submitit_backend
from rnnbench.training.interrupt import Interrupt

WORDS = (*NAG, "optim=nag,sgd", "seed=0,1", "optim.lr=1e-3,1e-4", "stop_when_solved=false")
FAR = 1_000_000
"""Updates that no sweep comes to before its signal, however late that is sent."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "number", "status"),
    [
        ("inline", signal.SIGTERM, 143),
        ("inline", signal.SIGINT, 130),
        ("processes", signal.SIGHUP, 129),
        ("processes", signal.SIGINT, 130),
        ("submitit_local", signal.SIGINT, 130),  # the tasks get SIGTERM, whatever the command gets
    ],
)
def test_ended_by_a_signal(backend, number, status, rnnbench):
    command = rnnbench.start_sweep("s", *WORDS, f"budget.updates={FAR}", f"hydra.launcher.backend={backend}")
    folder = rnnbench.root / "s"
    begun = [0] if backend == "inline" else [0, 1]
    command.wait_until(lambda: all((folder / "groups" / f"{group}.pt").exists() for group in begun))
    command.signal(number)
    assert command.status() == status, command.err
    reached = 0
    for job in jobs_of(folder):
        group = int(job.name) // 4
        if group in begun:
            summary = summary_of(job)
            assert summary["status"] == "interrupted"
            sent = signal.SIGTERM if backend == "submitit_local" else number  # what submitit passes on
            assert summary["message"] == f"ended by {sent.name}"
            assert 0 <= summary["updates"] < FAR
            reached = max(reached, summary["updates"])
        else:
            assert not (job / "summary.json").exists()
    assert command.out.startswith("s: not finished, none of 8 jobs solved so far; ")
    assert f"{4 * len(begun)} interrupted" in command.out
    assert command.out.splitlines()[-1].strip().startswith("continue   rnnbench resume")
    enough = f"budget.updates={reached + 20}"
    run_inline(folder)
    rnnbench("resume", "-q", folder, enough)
    assert_same_sweep(rnnbench.sweep("whole", *WORDS, enough), folder)


def run_inline(folder):
    """Have a sweep go on in one process; that it goes on where it was is a test of backends."""
    plan = plan_of(folder)
    plan["launcher"]["backend"] = "inline"
    (folder / "sweep.json").write_text(json.dumps(plan))


def end_slowly():
    """Have groups end two seconds after they are told to, as with large checkpoints, and this be a terminal's job."""

    class SlowTask:
        def __init__(self, folder, number, trusted):
            self.folder, self.number = folder, number

        def __call__(self):
            with Interrupt() as interrupt:
                Path(self.folder, f"begun-{self.number}").touch()
                while interrupt.signal is None:
                    time.sleep(0.01)
                time.sleep(2)
            Path(self.folder, f"ended-{self.number}").touch()
            return 143

    submitit_backend.GroupTask = SlowTask
    os.setsid()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_tasks_of_submitit_have_the_time_that_they_need(number, rnnbench):
    command = rnnbench.start_sweep("s", *WORDS, "hydra.launcher.backend=submitit_local", before=end_slowly)
    begun, ended = ([rnnbench.root / "s" / f"{what}-{group}" for group in (0, 1)] for what in ("begun", "ended"))
    command.wait_until(lambda: all(file.exists() for file in begun))
    os.killpg(command.process.pid, number)  # as Ctrl-C reaches all processes that were started at a terminal
    assert command.status() == (130 if number == signal.SIGINT else 143)
    assert all(file.exists() for file in ended)
    assert "Traceback" not in command.err


@pytest.mark.slow
def test_a_task_of_submitit_that_is_requeued_goes_on(rnnbench):
    words = (*NAG, "seed=0,1", "stop_when_solved=false")
    folder = rnnbench.root / "s"
    command = rnnbench.start_sweep("s", *words, f"budget.updates={FAR}", "hydra.launcher.backend=submitit_local")
    command.wait_until((folder / "groups" / "0.pt").exists)
    lock = folder / "groups" / "0.lock"  # names the process of the task
    (task,) = re.findall(r"process (\d+) on ", lock.read_text())
    os.kill(int(task), signal.SIGUSR2)  # what submitit has a cluster send before a time limit
    command.wait_until(lambda: re.findall(r"process (\d+) on ", lock.read_text()) not in ([], [task]))
    reached = summary_of(folder / "0")["updates"]
    command.signal(signal.SIGINT)
    assert command.status() == 130, command.err
    (log,) = folder.glob("submitit/*/*.out")
    assert "Requeued job" in log.read_text()
    summary = summary_of(folder / "0")
    assert summary["updates"] >= reached > 0
    enough = f"budget.updates={summary['updates'] + 20}"
    run_inline(folder)
    rnnbench("resume", "-q", folder, enough)
    assert_same_sweep(rnnbench.sweep("whole", *words, enough), folder)


def send_this_process(observer, number):
    signal.raise_signal(number)


def test_goes_on_to_the_budget_that_it_had(rnnbench, prepared):
    at_12 = (12, send_this_process, signal.SIGTERM)
    folder = rnnbench.sweep("s", *WORDS, before=at_update, given=at_12, status=143)
    summaries = [summary_of(job) for job in jobs_of(folder)[:4]]
    assert [(summary["status"], summary["updates"]) for summary in summaries] == [("interrupted", 12)] * 4
    rnnbench("resume", "-q", folder)
    assert_same_sweep(prepared(*WORDS), folder)


@pytest.mark.slow
def test_workers_end_with_a_command_that_is_killed(rnnbench):
    words = (*NAG, "optim=nag,sgd", "seed=0,1", "stop_when_solved=false", "hydra.launcher.backend=processes")
    far = (f"budget.updates={FAR}", f"record.checkpoint_every={FAR}")
    command = rnnbench.start_sweep("s", *words, *far)
    folder = rnnbench.root / "s"
    command.wait_until(lambda: all((folder / str(job) / "metrics.csv").exists() for job in range(4)))
    command.signal(signal.SIGKILL)
    assert command.status() == -signal.SIGKILL
    deadline = time.monotonic() + SECONDS_AT_MOST
    while statuses_of(folder) != ["interrupted"] * 4:
        assert time.monotonic() < deadline, statuses_of(folder)
        time.sleep(0.05)
    run_inline(folder)
    rnnbench("resume", "-q", folder, "budget.updates=400")  # no process holds the locks
