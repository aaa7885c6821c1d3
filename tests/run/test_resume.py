"""A run that was ended anywhere goes on to the very numbers of one that was not."""

import dataclasses
import json
import logging
import os
import random
import signal
import time

import pandas as pd
import pytest
import torch
from forked import Command
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rnnbench.cli import main
from rnnbench.models import native_sweeps
from rnnbench.native.library import unavailable_reason
from rnnbench.run.callbacks import RunCallbacks
from rnnbench.run.single_run import resume_run
from rnnbench.training.checkpoint import load_checkpoint

SMALL = ("task.sequence_length=10", "model.hidden_size=8", "threads=2", "probe=default")
SGD = (*SMALL, "optim=nag", "optim.batch_size=20", "record.log_every=3", "record.evaluate_every=5")
HF = (
    *SMALL,
    "optim.gradient_batch_size=60",
    "optim.curvature_batch_size=30",
    "optim.max_cg_iterations=8",
)


def die_at_update(last, folder):
    """Have this process killed after an update, once there is a checkpoint; later ones may be on their way."""
    on_update = RunCallbacks.on_update

    def dying(self, training, update):
        on_update(self, training, update)
        if training.update == last:
            while not (folder / "checkpoint.pt").exists():
                time.sleep(0.005)
            os.kill(os.getpid(), signal.SIGKILL)

    RunCallbacks.on_update = dying


def train_until_killed(folder, last, *overrides):
    """Run in a process of its own, which is killed after an update."""
    words = ("train", "-q", *overrides, f"hydra.run.dir={folder}")
    command = Command(*words, output=folder.parent / "output", before=die_at_update, given=(last, folder))
    assert command.status() == -signal.SIGKILL, command.err


def train(folder, *overrides):
    """Run in this process to the end."""
    assert main(["train", "-q", *overrides, f"hydra.run.dir={folder}"]) == 0


def same_records(first, second):
    tables = [pd.read_csv(folder / "metrics.csv").drop(columns="time/seconds") for folder in (first, second)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    theta = [load_checkpoint(folder / "checkpoint.pt")["theta"] for folder in (first, second)]
    assert torch.equal(*theta)
    events = []
    for folder in (first, second):
        accumulator = EventAccumulator(str(folder), {"scalars": 0})
        accumulator.Reload()
        events.append([(item.step, item.value) for item in accumulator.Scalars("Overview/8_loss/train")])
    assert events[0] == events[1]
    assert len({step for step, _ in events[0]}) == len(events[0])


@pytest.mark.slow
@pytest.mark.parametrize(("overrides", "updates"), [(SGD, 60), (HF, 20)], ids=["nag", "hf"])
def test_killed_and_resumed_equals_uninterrupted(overrides, updates, tmp_path):
    overrides = (*overrides, f"budget.updates={updates}", f"record.checkpoint_every={updates // 10}")
    train(tmp_path / "whole", *overrides)
    killed = tmp_path / "killed"
    train_until_killed(killed, random.Random(updates).randrange(updates // 10, updates), *overrides)
    assert json.loads((killed / "summary.json").read_text())["status"] == "running"
    assert load_checkpoint(killed / "checkpoint.pt")["update"] < updates
    assert resume_run(killed, [], quiet=True) == 0
    same_records(tmp_path / "whole", killed)
    facts = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("whole", "killed")]
    for key in ("status", "updates", "sequences", "products", "loss", "error_rate"):
        assert facts[0][key] == facts[1][key]


@pytest.mark.skipif(unavailable_reason("srn") is not None, reason="torch's sweeps depend on the number of threads")
@pytest.mark.parametrize("overrides", [SGD, HF, (*SGD, "model=lstm")], ids=["nag", "hf", "lstm"])
def test_resumed_with_another_number_of_threads(overrides, tmp_path, monkeypatch):
    monkeypatch.setattr(native_sweeps, "FLOPS_WORTH_A_WORKER", 1.0)
    short, whole = tmp_path / "short", tmp_path / "whole"
    train(short, *overrides, "budget.updates=15")
    train(whole, *overrides, "budget.updates=30")
    monkeypatch.setattr("rnnbench.run.batched_run.resolve_threads", lambda *args: 3)
    assert resume_run(short, ["budget.updates=30"], quiet=True) == 0
    same_records(whole, short)
    assert json.loads((short / "summary.json").read_text())["threads"] == 3


def test_a_larger_budget(tmp_path, capsys):
    short, whole = tmp_path / "short", tmp_path / "whole"
    train(short, *SGD, "budget.updates=30")
    train(whole, *SGD, "budget.updates=60")
    capsys.readouterr()
    assert resume_run(short, ["budget.updates=60"], quiet=True) == 0
    same_records(whole, short)
    assert "60 updates" in capsys.readouterr().out


def test_the_way_that_was_measured_is_kept(tmp_path, monkeypatch):
    """A way through a gated net's steps, as on a GPU."""
    known_ways = []

    def settle(config, built, num_replicas, device, *, captures, known):
        known_ways.append(known)
        return dataclasses.replace(built, model=built.model.with_recurrence("fused"))

    monkeypatch.setattr("rnnbench.run.batched_run.resolve_recurrence", settle)
    run = tmp_path / "run"
    train(run, *SGD[:2], "model=lstm", "threads=1", "optim=nag", "budget.updates=3")
    assert json.loads((run / "summary.json").read_text())["recurrence"] == "fused"
    assert resume_run(run, ["budget.updates=6"], quiet=True) == 0
    assert known_ways == [None, "fused"]


def test_bad_input(tmp_path, capsys):
    run = tmp_path / "run"
    train(run, *SGD, "budget.updates=3")
    capsys.readouterr()
    before = sorted((path, path.stat().st_mtime_ns) for path in run.iterdir() if path.name != ".lock")
    for words, said in [
        ([], "needs the folder of a run or a sweep"),
        ([str(tmp_path)], f"to continue from; did you mean {run}?"),
        ([str(tmp_path / "nope")], f"there is no folder {tmp_path / 'nope'}"),
        ([str(run), "optim.lr=3"], "optim.lr cannot be changed when a run is resumed"),
        ([str(run), "budget.update=3"], "did you mean budget.updates"),
        ([str(run), "budget.updates=many"], "budget.updates"),
        ([str(run), "budget.updates"], "'budget.updates' is not KEY=VALUE"),
        ([str(run), "=3"], "'=3' is not KEY=VALUE"),
        ([""], "empty name"),
        ([str(run), "budget.updates=-1"], "budget.updates"),
    ]:
        assert main(["resume", *words]) == 2
        err = capsys.readouterr().err
        assert err.startswith("rnnbench: "), err
        assert said in err
        assert err.count("\n") == 1
    after = sorted((path, path.stat().st_mtime_ns) for path in run.iterdir() if path.name != ".lock")
    assert after == before


def test_the_log_tells_how_a_run_started_and_ended(tmp_path, monkeypatch):
    run = tmp_path / "run"
    train(run, *SGD, "budget.updates=3", "seed=7")
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as in a process of its own
    assert main(["resume", "-q", str(run), "budget.updates=6"]) == 0
    told = [line.partition(" - ")[2] for line in (run / "train.log").read_text().splitlines()]
    parts = "task=adding, model=rnn, init=edge_of_chaos, optim=nag, seed=7"
    expected = [
        f"adding_nag starts: {parts}, budget.updates=3",
        "rnnbench ",
        "run ended: budget after 3 updates, ",
        f"adding_nag resumes after update 3: {parts}, budget.updates=6",
        "rnnbench ",
        "run ended: budget after 6 updates, ",
    ]
    assert [line[: len(start)] for line, start in zip(told, expected, strict=True)] == expected


def test_a_finished_run_says_so(tmp_path, capsys):
    run = tmp_path / "run"
    diverging = (*SGD, "model.nonlinearity=linear", "optim.lr=1e30")
    train(run, *diverging)
    capsys.readouterr()
    assert main(["resume", str(run)]) == 0
    assert "is finished: diverged" in capsys.readouterr().err


def test_a_budget_that_is_used_up_is_reported(tmp_path, capsys):
    run = tmp_path / "run"
    train(run, *SGD, "budget.updates=6")
    weights = load_checkpoint(run / "checkpoint.pt")["theta"]
    capsys.readouterr()
    assert main(["resume", "-q", str(run), "budget.updates=3"]) == 0
    said = f"rnnbench: {run} has nothing left to do: budget.updates=3 is used up, after 6 updates\n"
    assert capsys.readouterr().err == said
    assert torch.equal(load_checkpoint(run / "checkpoint.pt")["theta"], weights)
