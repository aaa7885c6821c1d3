"""`rnnbench probe`: what it leaves of a saved net, and what it refuses."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rnnbench import cli
from rnnbench.config.plan import make_plan
from rnnbench.config.request import Request
from rnnbench.probes.lyapunov import Lyapunov
from rnnbench.reports.finding import find_run_folders
from rnnbench.run.job_folders import Job
from rnnbench.run.setup import set_up
from rnnbench.run.single_run import run_job
from rnnbench.training.checkpoint import load_checkpoint, save_checkpoint

SMALL = ("optim=sgd", "optim.batch_size=20", "task.sequence_length=10", "model.hidden_size=6", "threads=1")
NAMES = ("state_jacobian", "jacobian_normality", "jacobian_push", "jacobian_product", "lyapunov")
WITHOUT_PICTURES = [f"probe.{name}.picture_every=0" for name in NAMES]  # which take most of the time
PLAN = ("budget.updates=4", "record.log_every=1", "record.evaluate_every=4", "hydra.run.dir=unused")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A simple recurrent net that was watched by all probes while it trained, and an LSTM that was not."""
    top = tmp_path_factory.mktemp("runs")
    for name, own in {
        "rnn": ["probe=all", *WITHOUT_PICTURES],
        "lstm": ["probe=none", "model=lstm", "init=orthogonal"],
    }.items():
        (top / name).mkdir()
        (config,) = make_plan(Request(overrides=(*SMALL, *PLAN, *own))).configs
        assert run_job(Job(config, top / name), set_up([config]), quiet=True) == 0
    return top


@pytest.fixture
def probe(runs, tmp_path, monkeypatch, capsys):
    """Call `rnnbench probe` beside copies of the runs."""
    shutil.copytree(runs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()

    def call(*words):
        status = cli.main(["probe", *words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def numbers(folder="rnn/probe"):
    (row,) = pd.read_csv(f"{folder}/probe.csv").to_dict("records")
    return row


def test_probes_of_jacobians_watch_a_run(runs):
    table = pd.read_csv(runs / "rnn/metrics.csv")
    columns = [tag for tag in table if tag.startswith(("jacobian/", "lyapunov/"))]
    assert "lyapunov/largest" in columns
    read = table[columns].notna()
    always = ["jacobian/spectral_radius" in tag or "modulus" in tag or "share_above" in tag for tag in columns]
    assert read.loc[1:, np.array(always)].all(axis=None)
    assert read.loc[1].all()  # the first logged update, and the sixth, which is not reached
    assert not read.loc[2:, ~np.array(always)].any(axis=None)


def test_a_saved_net_is_looked_at(probe):
    status, out, err = probe("rnn")
    assert (status, err) == (0, "")
    found, checkpoint = numbers(), load_checkpoint("rnn/checkpoint.pt")
    assert found["update"] == checkpoint["update"] == 4
    weight = checkpoint["theta"][0, :36].view(6, 6).double().numpy()
    assert found["recurrent_weight/spectral_radius"] == pytest.approx(np.abs(np.linalg.eigvals(weight)).max(), rel=1e-6)
    for tag in ("state_gradient/lag_5", "jacobian/push_growth", "jacobian/product_log_norm_lag_5", "lyapunov/largest"):
        assert np.isfinite(found[tag])
        assert tag in out
    assert "update/norm" not in found  # no step was taken
    assert "gradient/norm_clipped" not in found
    events = EventAccumulator("rnn/probe").Reload()
    tags = {re.sub(r"^(Overview/\d_|z_details/)", "", tag) for tag in events.Tags()["scalars"]}
    assert tags == set(found) - {"update"}
    assert events.Scalars("lyapunov/largest")[0].value == pytest.approx(found["lyapunov/largest"], rel=1e-6)
    pictures = events.Tags()["images"]
    assert {f"{tag.replace('/', '_')}.png" for tag in pictures} == {
        name for name in os.listdir("rnn/probe") if name.endswith(".png")
    }
    assert "jacobian/product_singular_values" in pictures
    assert f"{len(pictures)} pictures and probe.csv in  rnn/probe" in out
    assert "tensorboard --logdir rnn/probe" in out


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"no checkpoint")])
def test_the_previous_checkpoint_is_probed_if_the_latest_one_cannot_be_used(probe, damage):
    previous = load_checkpoint("rnn/checkpoint.previous.pt")
    damage(Path("rnn/checkpoint.pt"))
    status, _, err = probe("rnn", "probe=default", "probe.state_jacobian.picture_every=0")
    assert status == 0
    assert err.startswith("rnnbench: ")
    assert err.endswith(f"; the previous checkpoint is probed, after update {previous['update']}\n")
    assert err.count("\n") == 1
    assert numbers()["update"] == previous["update"] != 4
    weight = previous["theta"][0, :36].view(6, 6).double().numpy()
    largest = np.abs(np.linalg.eigvals(weight)).max()
    assert numbers()["recurrent_weight/spectral_radius"] == pytest.approx(largest, rel=1e-6)


def test_a_second_call_replaces_the_first_and_gives_the_same(probe):
    probe("rnn", "probe=default", "probe.state_jacobian.num_sequences=2", *WITHOUT_PICTURES[:1])
    first = numbers()
    assert [name for name in os.listdir("rnn/probe") if "state_gradient" in name]
    status, _, _ = probe("rnn", "probe=jacobian", "probe.lyapunov.every=0", *WITHOUT_PICTURES)
    assert status == 0
    assert "jacobian/push_growth" in numbers()
    assert "lyapunov/largest" not in numbers()
    shared = first.keys() & numbers().keys()
    assert "jacobian/spectral_radius" in shared
    assert {tag: first[tag] for tag in shared} == {tag: numbers()[tag] for tag in shared}
    assert not [name for name in os.listdir("rnn/probe") if name.endswith(".png")]
    assert len([name for name in os.listdir("rnn/probe") if name.startswith("events")]) == 1


def test_several_runs_of_any_model(probe):
    status, out, _ = probe(".", "probe=[default,jacobian]", "--out", "seen", *WITHOUT_PICTURES)
    assert status == 0
    assert out.startswith("2 runs, each on the same 100 held-out sequences")
    values = [numbers(f"seen/{name}")["lyapunov/largest"] for name in ("0_lstm", "1_rnn")]
    row = next(line.split() for line in out.splitlines() if "lyapunov/largest" in line)
    assert [float(cell) for cell in row[1:]] == pytest.approx([min(values), *sorted(values)], rel=1e-3)
    assert not os.path.exists("rnn/probe")


def test_what_looks_for_runs_takes_no_notice_of_it(probe):
    probe("rnn", "probe=jacobian", *WITHOUT_PICTURES)
    assert find_run_folders([Path("rnn")]).runs == [Path("rnn")]


def test_a_probe_that_fails_is_said_and_left_out(probe, monkeypatch):
    def fail(self, view):
        raise ZeroDivisionError("a probe's own mistake")

    monkeypatch.setattr(Lyapunov, "capture", fail)
    status, _, err = probe("rnn", "probe=jacobian", *WITHOUT_PICTURES)
    assert (status, err) == (1, "rnnbench: rnn: probe lyapunov failed and is left out: a probe's own mistake\n")
    assert "jacobian/push_growth" in numbers()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "needs the folder"),
        (["nope"], "there is no folder nope"),
        (["empty"], "empty holds no checkpoint.pt"),
        (["rnn", "--nope"], "--help"),
        (["rnn", "--sequences", "0"], "--sequences must be a whole number >= 1, got '0'"),
        (["rnn", "--out", "other"], "other holds other files"),
        (["rnn", "--config-dir", "nope"], "--config-dir: there is no folder nope"),
        (["rnn", "seed=3"], "seed=3: only probe=CHOICE"),
        (["rnn", "probe=jacobean"], "jacobian"),
        (["rnn", "probe.lyapunov.evry=2"], "probe.lyapunov.every"),
        (["rnn", "probe.lyapunov.num_sequences=0"], ">= 1"),
        (["rnn", "probe=none"], "all probes are off"),
        (["old"], "old/checkpoint.pt has checkpoint format 1; this version reads format 4"),
        (["strange"], "strange/checkpoint.pt is not the checkpoint of a single run"),
        (["broken"], "broken/checkpoint.pt is damaged, or is not a checkpoint"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_bad_input(probe, words, expected):
    for name in ("empty", "other", "old", "strange", "broken"):
        os.mkdir(name)
    with open("other/notes.txt", "w") as file:
        file.write("mine")
    contents = load_checkpoint("rnn/checkpoint.pt")
    torch.save({**contents, "format": 1}, "old/checkpoint.pt")
    save_checkpoint(Path("strange/checkpoint.pt"), {key: contents[key] for key in contents if key != "schema"})
    with open("broken/checkpoint.pt", "wb") as file:
        file.write(b"no checkpoint")
    status, out, err = probe(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert expected in err
    assert not os.path.exists("rnn/probe")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["probe=jacobian", "probe.lyapunov.num_sequences=9000"],
            "probe.lyapunov.num_sequences=9000: probing needs about ",
        ),
        (["--sequences", "1000000"], "--sequences=1000000: probing needs about "),
    ],
    ids=["probe", "sequences"],
)
def test_a_sample_larger_than_memory(probe, monkeypatch, words, expected):
    monkeypatch.setattr("rnnbench.run.machine.available_bytes", lambda device: 2**25 + 2**23)
    status, out, err = probe("rnn", *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert expected in err
    assert "GiB are available; lower" in err
    assert not os.path.exists("rnn/probe")


def test_a_run_whose_probes_need_more_memory_than_there_is_never_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "-q", *SMALL, "probe=jacobian", "probe.lyapunov.num_sequences=1000000000"]) == 2
    answer = capsys.readouterr()
    assert answer.err.startswith("rnnbench: probe.lyapunov.num_sequences=1000000000: the run needs about ")
    assert answer.err.count("\n") == 1
    assert os.listdir() == []
