"""Whole runs, small: what is in the folder afterwards, and what faults leave there."""

import json
import math
import os
import pty
import signal
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from forked import Command

import rnnbench.run.batched_run
from rnnbench.config.plan import make_plan
from rnnbench.config.request import Request
from rnnbench.probes.gradient_norm import GradientNorm
from rnnbench.records.errors import RecordError
from rnnbench.records.live_aggregate import AggregatePlan
from rnnbench.records.writer import Records
from rnnbench.run.batched_run import BatchedRun
from rnnbench.run.hyperparameters import Trial
from rnnbench.run.job_folders import Job, SweepGroup
from rnnbench.run.machine import is_out_of_memory
from rnnbench.run.setup import set_up
from rnnbench.run.single_run import resume_run, run_job
from rnnbench.training.checkpoint import load_checkpoint

SMALL = ("task.sequence_length=10", "model.hidden_size=8", "threads=1", "dtype=float64")
SGD = (*SMALL, "optim=sgd", "optim.batch_size=20", "record.log_every=2", "record.evaluate_every=5", "budget.updates=12")
HF = (
    *SMALL,
    "optim.gradient_batch_size=60",
    "optim.curvature_batch_size=30",
    "optim.max_cg_iterations=8",
    "budget.updates=3",
)


def job(folder, *overrides):
    folder.mkdir(parents=True)
    (config,) = make_plan(Request(overrides=(*overrides, f"hydra.run.dir={folder}-unused"))).configs
    return Job(config, folder)


def train(run, *, quiet):
    return run_job(run, set_up([run.config]), quiet=quiet)


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def test_a_run_folder_keeps_the_contract(tmp_path, capsys):
    run = job(tmp_path / "run", *HF)
    assert train(run, quiet=True) == 0
    facts = summary(run.folder)
    assert facts["status"] == "budget"
    assert facts["solved"] is False
    assert facts["solved_at"] is None
    assert facts["updates"] == 3
    assert facts["products"] > 3
    assert facts["baseline_loss"] == pytest.approx(1 / 6)
    assert facts["config"]["optim"]["name"] == "hf"
    assert facts["config"]["task"]["sequence_length"] == 10
    assert facts["threads"] == 1
    assert facts["device"] in ("cpu", "cuda:0")
    assert {"python", "torch", "rnnbench"} <= facts["versions"].keys()
    table = pd.read_csv(run.folder / "metrics.csv")
    assert table["update"].tolist() == [0, 1, 2, 3]
    assert table.columns[0] == "update"
    assert table.columns[-1] == "time/seconds"
    for column in ("loss/train", "hf/damping", "gradient/norm", "state_gradient/lag_0", "jacobian/spectral_radius"):
        assert table[column].notna().tolist() == [False, True, True, True], column
    assert table["loss/eval"].iloc[-1] == facts["loss"]
    assert table["cost/products"].iloc[-1] == facts["products"]
    checkpoint = load_checkpoint(run.folder / "checkpoint.pt")
    assert checkpoint["update"] == 3
    assert checkpoint["theta"].shape == (1, sum(math.prod(shape) for shape in checkpoint["layout"].values()))
    assert set(checkpoint["optimizer_state"]) == {"damping", "structural_damping", "failures", "solution"}
    for name, length in checkpoint["records"][0].items():
        assert (run.folder / name).stat().st_size == length
    assert len(list(run.folder.glob("events.out.*"))) == 1
    out = capsys.readouterr().out
    assert "tensorboard --logdir" in out
    assert "constant predictor" in out


# A larger damping keeps HF from jumping to where the dynamics amplify rounding from update to update.
@pytest.mark.parametrize(
    "overrides", [SGD, (*HF, "optim.damping=10"), (*SGD, "optim=adam"), (*SGD, "optim=nag", "optim.momentum=0.5")]
)
def test_replicas_of_one_run_equal_runs_alone(overrides, tmp_path):
    """The replica law, from configuration to records."""
    own = [("seed=3",), ("seed=4", "init.input_scale=0.3"), ("seed=5", "init.spectral_radius=0.9")]
    together = [job(tmp_path / f"together{k}", *overrides, *more) for k, more in enumerate(own)]
    aggregate = AggregatePlan(tmp_path / "aggregate", {"all": [0, 1, 2]}, [run.folder for run in together], [0, 1, 2])
    trials = [Trial("all seeds", {"optim": "nag"})] * 3
    group = SweepGroup(tmp_path / "group.pt", ["0", "1", "2"], "group 0", aggregate, trials)
    setup = set_up([run.config for run in together])
    assert BatchedRun(setup, together, quiet=True, group=group).run() == 0
    for k, more in enumerate(own):
        alone = job(tmp_path / f"alone{k}", *overrides, *more)
        assert train(alone, quiet=True) == 0
        theta = [load_checkpoint(run.folder / "checkpoint.pt")["theta"] for run in (alone, together[k])]
        # Once CG has found a large eigenvalue it amplifies rounding by some powers of ten in each further iteration.
        assert (theta[0] - theta[1]).abs().max() < (1e-6 if overrides[-1] == "optim.damping=10" else 1e-10)
        tables = [pd.read_csv(run.folder / "metrics.csv") for run in (alone, together[k])]
        for column in ("loss/train", "loss/eval", "error_rate/eval", "gradient/norm"):
            pd.testing.assert_series_equal(tables[0][column], tables[1][column], rtol=1e-6)


def test_a_run_repeats_itself_bit_for_bit(tmp_path):
    tables = []
    for name in ("first", "second"):
        run = job(tmp_path / name, *HF, "dtype=float32", "threads=2")
        train(run, quiet=True)
        tables.append(pd.read_csv(run.folder / "metrics.csv").drop(columns="time/seconds"))
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_divergence_is_an_outcome(tmp_path, capsys):
    run = job(tmp_path / "run", *SGD, "model.nonlinearity=linear", "optim.lr=1e30", "optim.clip_norm=null")
    assert train(run, quiet=True) == 0
    facts = summary(run.folder)
    assert facts["status"] == "diverged"
    assert "not finite at update" in facts["message"]
    assert load_checkpoint(run.folder / "checkpoint.pt")["theta"].isfinite().all()
    assert len(pd.read_csv(run.folder / "metrics.csv")) >= 1
    assert "diverged" in capsys.readouterr().out


@pytest.mark.parametrize("seconds", [0.0, 0.3])  # in the second case the training is over when the rows fail
def test_a_full_disk_is_said_and_what_was_recorded_stays(tmp_path, monkeypatch, capsys, seconds):
    log = Records.log

    def fill_up(self, update, values, replicas=None):
        if update >= 6:
            time.sleep(seconds)
            raise RecordError("cannot write metrics.csv: No space left on device")
        log(self, update, values, replicas)

    monkeypatch.setattr(Records, "log", fill_up)
    run = job(tmp_path / "run", *SGD)
    assert train(run, quiet=True) == 1
    facts = summary(run.folder)
    assert facts["status"] == "failed"
    assert "No space left on device" in facts["message"]
    assert pd.read_csv(run.folder / "metrics.csv")["update"].tolist() == [0, 2, 4, 5]
    assert "rnnbench: records could not be written: cannot write metrics.csv" in capsys.readouterr().err
    monkeypatch.setattr(Records, "log", log)
    assert resume_run(run.folder, [], quiet=True) == 0
    assert summary(run.folder)["status"] == "budget"
    assert pd.read_csv(run.folder / "metrics.csv")["update"].tolist() == [0, 2, 4, 5, 6, 8, 10, 12]


def test_a_probe_that_fails_does_not_end_the_run(tmp_path, monkeypatch, capsys):
    def fail(self, view):
        raise ZeroDivisionError("a mistake in the probe")

    monkeypatch.setattr(GradientNorm, "capture", fail)
    run = job(tmp_path / "run", *SGD)
    assert train(run, quiet=False) == 0
    assert summary(run.folder)["status"] == "budget"
    table = pd.read_csv(run.folder / "metrics.csv")
    assert table["gradient/norm"].isna().all()
    assert table["jacobian/spectral_radius"].notna().any()
    assert "probe gradient_norm failed at update 2" in capsys.readouterr().err


def test_an_error_inside_leaves_a_folder_that_says_so(tmp_path, monkeypatch, capsys):
    def fail(self):
        raise ZeroDivisionError("a mistake in the loop")

    monkeypatch.setattr(rnnbench.run.batched_run.Training, "run", fail)
    run = job(tmp_path / "run", *SGD)
    assert train(run, quiet=True) == 1
    facts = summary(run.folder)
    assert (facts["status"], facts["message"]) == ("failed", "ZeroDivisionError: a mistake in the loop")
    assert "rnnbench: ZeroDivisionError: a mistake in the loop" in capsys.readouterr().err


def test_out_of_memory_names_what_to_lower(tmp_path, monkeypatch, capsys):
    def fail(self):
        raise torch.OutOfMemoryError("tried to allocate 900 GiB")

    monkeypatch.setattr(rnnbench.run.batched_run.Training, "run", fail)
    run = job(tmp_path / "run", *SGD)
    assert train(run, quiet=True) == 1
    assert "out of memory; lower the batch sizes" in capsys.readouterr().err


def test_what_says_that_memory_is_used_up():
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**60)
    assert is_out_of_memory(raised.value)
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(RuntimeError("CUDA error: out of memory"))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    assert not is_out_of_memory(NotImplementedError("implement `getPinnedMemoryAllocator`"))
    assert not is_out_of_memory(ValueError("out of memory"))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGXCPU, 152)])
def test_a_signal_ends_a_run_in_order(number, status, tmp_path):
    endless = (*SGD[:-1], "budget.updates=1000000", "stop_when_solved=false")
    command = Command("train", *endless, f"hydra.run.dir={tmp_path}/run", output=tmp_path / "output")
    metrics = tmp_path / "run/metrics.csv"
    command.wait_until(lambda: metrics.exists() and metrics.read_text().count("\n") > 3)
    command.signal(number)
    assert command.status() == status, command.err
    facts = summary(tmp_path / "run")
    assert facts["status"] == "interrupted"
    assert facts["message"] == f"ended by {number.name}"
    checkpoint = load_checkpoint(tmp_path / "run/checkpoint.pt")
    assert checkpoint["update"] == facts["updates"] > 0
    assert pd.read_csv(metrics)["update"].iloc[-1] <= facts["updates"]
    assert "interrupted" in command.out
    assert "Traceback" not in command.err


@pytest.mark.slow
def test_a_terminal_that_is_closed_ends_a_run_in_order(tmp_path):
    endless = (*SGD[:-1], "budget.updates=1000000", "stop_when_solved=false")
    process, terminal = pty.fork()
    if process == 0:
        os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
        os.execv(sys.executable, [sys.executable, "-m", "rnnbench", "train", *endless, f"hydra.run.dir={tmp_path}/run"])
    metrics = tmp_path / "run/metrics.csv"
    while not (metrics.exists() and metrics.read_text().count("\n") > 3):
        assert os.read(terminal, 4096)  # an error where the run has ended
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    facts = summary(tmp_path / "run")
    assert (facts["status"], facts["message"]) == ("interrupted", "ended by SIGHUP")
    assert load_checkpoint(tmp_path / "run/checkpoint.pt")["update"] == facts["updates"] > 0
