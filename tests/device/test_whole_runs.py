"""Whole commands leave the same records on a device as on the CPU: every choice of every group, resume, a sweep."""

import re
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from built import choices

from rnnbench.cli import main
from rnnbench.config.packaged_tasks import shortest, variants
from rnnbench.models.nonlinearity import NONLINEARITIES
from rnnbench.modules.recurrent_net import RecurrentNet
from rnnbench.training.observation import Observer

RUN = ("model.hidden_size=16", "threads=1", "dtype=float64", "record.log_every=1", "probe=none")
FEW = ("budget.updates=3", "task.sequence_length=8")
SMALL = ("task.sequence_length=8", "model.hidden_size=5")
NAG = ("optim=nag", "optim.batch_size=6")
# Few iterations, since conjugate gradients let rounding grow.
HF = (
    "optim=hf",
    *(f"optim.{name}_batch_size=12" for name in ("gradient", "curvature")),
    "optim.max_cg_iterations=3",
)


@pytest.fixture
def both(device, request, tmp_path, monkeypatch):
    """Run a command on the CPU and on the device, each in a folder of its own; the folders."""
    if device.type == "simulated":
        monkeypatch.setattr("rnnbench.config.validate.DEVICE", re.compile("cpu|simulated"))
        at_once = partial(Observer, begin_copy=request.getfixturevalue("simulated").copy_at_once)
        monkeypatch.setattr("rnnbench.run.batched_run.Observer", at_once)

    def run(*words):
        folders = tmp_path / "on_cpu", tmp_path / "on_device"
        for folder, place in zip(folders, ("cpu", device.type), strict=True):
            folder.mkdir(exist_ok=True)
            monkeypatch.chdir(folder)
            assert main([word.format(device=place) for word in words]) == 0
        return folders

    return run


def assert_same_metrics(folders, run="run"):
    expected, found = (pd.read_csv(folder / run / "metrics.csv") for folder in folders)
    assert list(found) == list(expected)
    assert len(expected) > 3
    for name in expected:
        if not name.startswith("time/"):
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, atol=1e-9, err_msg=name)


def train(both, *words):
    assert_same_metrics(both("train", "-q", "device={device}", "hydra.run.dir=run", *RUN, *FEW, *words))


@pytest.mark.parametrize("task", choices("task"))
def test_every_task(task, both):
    length = max(8, *(shortest(task, variant) for variant in variants(task)))
    train(both, *NAG, f"task={task}", f"task.sequence_length={length}")


@pytest.mark.parametrize("init", choices("init"))
def test_every_init(init, both, tmp_path):
    file = tmp_path / "net.pt"
    torch.save(RecurrentNet("rnn", 2, 16, 1).state_dict(), file)
    others = {"from_file": [f"init.path={file}"], "lru_ring": ["model=lru"]}
    train(both, *NAG, f"init={init}", *others.get(init, []))


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_every_nonlinearity(nonlinearity, both):
    train(both, *NAG, f"model.nonlinearity={nonlinearity}")


@pytest.mark.parametrize("model", choices("model"))
@pytest.mark.parametrize("optim", [NAG, HF], ids=["nag", "hf"])
def test_every_model(model, optim, both):
    others = {"latch": ["task=latch", "model.hidden_size=1", "init=identity"], "lru": ["init=lru_ring"]}
    train(both, *optim, f"model={model}", *others.get(model, []))


@pytest.mark.parametrize(
    "optim",
    [
        "sgd",
        "sgd optim.clip_norm=null optim.clip_value=0.1",
        "nag optim.form=torch optim.initial_momentum_updates=2",
        "adam",
    ],
)
def test_every_first_order_method(optim, both):
    train(both, f"optim={optim.split()[0]}", *optim.split()[1:], "optim.batch_size=6")


@pytest.mark.parametrize("task", ["adding", "memorization_5 task.sequence_length=11"])
@pytest.mark.parametrize(
    "words",
    [
        "optim.structural_damping=0",
        "optim.preconditioner=diagonal",
        "optim.backtracking=best optim.reduction_ratio=undamped",
        "optim.backtracking_batch=fresh optim.line_search_batch=fresh",
    ],
)
def test_hessian_free(words, task, both):
    train(both, *HF, *f"task={task} {words}".split())


@pytest.mark.parametrize("probe", choices("probe"))
def test_every_choice_of_probes(probe, both, capsys):
    train(both, *NAG, *SMALL, f"probe={probe}")
    assert "probe" not in capsys.readouterr().err  # none has failed


@pytest.mark.parametrize(("model", "optim"), [("lstm", NAG), ("rnn", HF)], ids=["lstm", "hf"])
def test_all_probes_elsewhere(model, optim, both, capsys):
    train(both, *optim, *SMALL, f"model={model}", "probe=all")
    assert "probe" not in capsys.readouterr().err  # none has failed


def test_resume(both):
    train(both, *NAG)
    assert_same_metrics(both("resume", "run", "budget.updates=6"))


def test_a_sweep(both):
    words = ("hydra.sweep.dir=sweep", "seed=range(0,3)", "optim.lr=0.01,0.001")
    folders = both("train", "-m", "-q", "device={device}", *RUN, *FEW, *NAG, *words)
    jobs = [path.parent.relative_to(folders[0]) for path in folders[0].glob("sweep/*/metrics.csv")]
    assert len(jobs) == 6
    for job in jobs:
        assert_same_metrics(folders, job)
