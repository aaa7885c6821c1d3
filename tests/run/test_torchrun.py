"""One run over two processes equals one over one, within rounding."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import shares_and_wholes
import torch
from forked import Command
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.cli import main
from rnnbench.config.compose import Composer
from rnnbench.config.errors import ConfigError
from rnnbench.config.request import Request
from rnnbench.run.setup import device_of, set_up
from rnnbench.training.world import World

ROOT = Path(__file__).parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
SMALL = ("task.sequence_length=10", "model.hidden_size=8", "threads=1", "dtype=float64", "-q")
NAG = (
    *SMALL,
    "optim=nag",
    "optim.batch_size=21",
    "record.log_every=5",
    "record.evaluate_every=20",
)
# More iterations of CG would amplify the rounding of the first by a factor of ten each.
HF = (
    *SMALL,
    "optim.gradient_batch_size=61",
    "optim.curvature_batch_size=31",
    "optim.max_cg_iterations=6",
    "optim.damping=10",
    "budget.updates=3",
)


def start(*words):
    """Start a command by torchrun itself."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*TORCHRUN, *words], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def join_world(rank, port, then=None):
    """Make this process one of two that torchrun has started on this machine, whose store listens at a port."""
    os.environ |= {"TORCHELASTIC_RUN_ID": "of a test", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    if then is not None:
        then()


def run_both(folder, *words, then=None):
    """Run a command in two forked processes, as torchrun would, whose own start takes most of the time of a short run.

    Args:
        folder: A new folder, for what they print.
        words: After `rnnbench`.
        then: Called in each process before the command; a function of a module.

    Returns:
        The exit status of each, and what each printed.
    """
    store = torch.distributed.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    folder.mkdir()
    commands = [
        Command(*words, output=folder / str(rank), before=join_world, given=(rank, store.port, then)) for rank in (0, 1)
    ]
    return [command.status() for command in commands], commands


def train(folder, *overrides):
    return run_both(folder.with_name("output"), "train", *overrides, f"hydra.run.dir={folder}")


def config_of(*overrides):
    with Composer(Request()) as composer:
        return composer.compose(list(overrides)).config


@given(st.integers(0, 500), st.integers(0, 300), st.integers(1, 9))
def test_shares_are_all_rows_once_and_equal_by_one(start, length, size):
    rows = range(start, start + length)
    shares = [World(rank, size).share(rows) for rank in range(size)]
    assert [row for share in shares for row in share] == list(rows)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_sums_over_shares_are_those_of_the_whole_batch(tmp_path):
    statuses, (first, _) = run_both(tmp_path / "output", "--version", then=shares_and_wholes.main)
    assert statuses == [0, 0], first.err
    found = json.loads(first.out.splitlines()[0])
    assert len(found) > 20
    assert {name: value for name, value in found.items() if value > 1e-13} == {}


@pytest.mark.parametrize("overrides", [(*NAG, "budget.updates=40"), HF], ids=["nag", "hf"])
def test_a_run_over_two_processes_equals_one_over_one(overrides, tmp_path):
    together, alone = tmp_path / "together", tmp_path / "alone"
    statuses, (first, _) = train(together, *overrides)
    assert statuses == [0, 0], first.err
    assert main(["train", *overrides, f"hydra.run.dir={alone}"]) == 0
    tables = [pd.read_csv(folder / "metrics.csv") for folder in (alone, together)]
    # These probes look at the first process's share of the batch.
    own = [name for name in tables[0] if name.startswith(("time/", "state_gradient/", "jacobian/"))]
    tables = [table.drop(columns=own) for table in tables]
    assert "gradient/norm" in tables[0]
    pd.testing.assert_frame_equal(*tables, rtol=1e-8, atol=1e-11)
    facts = [json.loads((folder / "summary.json").read_text()) for folder in (alone, together)]
    for key in ("status", "updates", "sequences", "products"):
        assert facts[0][key] == facts[1][key]


@pytest.mark.slow
def test_a_signal_ends_both_and_both_go_on(tmp_path):
    run_folder = tmp_path / "run"
    endless = (*NAG, "budget.updates=1000000", "stop_when_solved=false")
    process = start("-m", "rnnbench", "train", *endless, f"hydra.run.dir={run_folder}")
    metrics = run_folder / "metrics.csv"
    while not (metrics.exists() and metrics.read_text().count("\n") > 3):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    facts = json.loads((run_folder / "summary.json").read_text())
    assert facts["status"] == "interrupted"
    longer = f"budget.updates={facts['updates'] + 7}"
    statuses, (first, _) = run_both(tmp_path / "output", "resume", str(run_folder), longer, "-q")
    assert statuses == [0, 0], first.err
    assert json.loads((run_folder / "summary.json").read_text())["updates"] == facts["updates"] + 7


def test_what_cannot_be_shared_is_said(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert main(["train", "-m", "seed=1,2"]) == 2
    assert "start a sweep (-m) without torchrun" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.mark.parametrize("name", ["cuda", "auto"])
def test_each_process_has_a_gpu_of_its_own(name, two_gpus, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    found = []
    for rank in range(2):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        found.append(device_of(name, World(rank, 2)))
    assert found == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert device_of("cpu", World(1, 2)) == torch.device("cpu")
    assert device_of("cuda:1", World()) == torch.device("cuda:1")


@pytest.mark.parametrize(
    ("name", "num_processes", "message"),
    [("cuda:1", 2, "use device=cuda"), ("cuda", 3, "3 processes here, but the number of GPUs is 2; use --nproc-per")],
)
def test_no_two_processes_share_a_gpu(name, num_processes, message, two_gpus, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(num_processes))
    with pytest.raises(ConfigError, match=message):
        device_of(name, World(0, num_processes))


def test_the_world_of_a_run_has_its_device():
    config = config_of(*SMALL[:-1], "optim=nag", "device=cpu")
    assert set_up([config], World(0, 2, torch.device("meta"))).world == World(0, 2, torch.device("cpu"))


def test_a_batch_smaller_than_the_number_of_processes(tmp_path):
    statuses, commands = train(tmp_path / "run", "optim=sgd", "optim.batch_size=1")
    assert statuses == [2, 2]
    assert "rnnbench: optim.batch_size=1 cannot be shared by 2 processes" in "".join(one.err for one in commands)
