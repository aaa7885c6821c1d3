"""Whole small runs: every optimizer steps the gated nets, every probe reads all cells."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from rnnbench.config.plan import make_plan
from rnnbench.config.request import Request
from rnnbench.paths import conf_dir
from rnnbench.run.job_folders import Job
from rnnbench.run.setup import set_up
from rnnbench.run.single_run import run_job

SMALL = ("task.sequence_length=10", "model.hidden_size=6", "budget.updates=2", "threads=2")
EVERY = ("record.log_every=1", "record.evaluate_every=1")
HF = tuple(f"optim.{name}_batch_size=200" for name in ("gradient", "curvature"))
OWN = {"hf": HF, "shampoo": ("optim.preconditioning_compute_steps=1",)}
"""Overrides of an optimizer; Shampoo takes no step before its first roots."""
OPTIMIZERS = sorted(path.stem for path in (conf_dir() / "optim").glob("*.yaml"))


CASES = [
    (optim, model, ("adding", "temporal_order")[(number + turn) % 2])
    for number, optim in enumerate(OPTIMIZERS)
    for turn, model in enumerate(("lstm", "gru"))
]
"""Of optimizer, model and task, whose loss is squared or the cross-entropy, any two meet."""


@pytest.mark.parametrize(("optim", "model", "task"), CASES)
def test_every_optimizer_steps_and_every_probe_reads(optim, model, task, tmp_path):
    torch.backends.cudnn.allow_tf32 = True  # as torch has it
    overrides = [f"task={task}", f"model={model}", f"optim={optim}"]
    table = run(tmp_path, *overrides, *OWN.get(optim, ()))
    assert (table["update/norm"] > 0).any() or optim == "random_guessing"  # keeps the weights if no guess is better
    assert not torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(
    ("words", "optim"),
    [
        ("model=rnn model.num_layers=2", "hf"),
        ("model=gru model.num_layers=3 init=xavier", "adam"),
        ("model=lru model.num_layers=2 init=lru_ring", "adam"),
        ("model=lru init=lru_ring", "hf"),
        ("model=orthogonal_rnn init=gaussian", "hf"),
    ],
)
def test_every_probe_reads_layers_and_the_other_cells(words, optim, tmp_path):
    other = HF if optim == "hf" else ()
    table = run(tmp_path, "task=adding", "probe=all", *words.split(), f"optim={optim}", *other)
    if "orthogonal" in words:
        assert table["recurrent_weight/largest_singular_value"].tolist() == pytest.approx([1, 1], abs=1e-5)


def run(folder, *overrides):
    """Train for two updates in this process; the rows of metrics. All that was read must be finite."""
    overrides = (*SMALL, *EVERY, *overrides, f"hydra.run.dir={folder}-unused")
    (config,) = make_plan(Request(overrides=overrides)).configs
    assert run_job(Job(config, folder), set_up([config]), quiet=True) == 0
    facts = json.loads((folder / "summary.json").read_text())
    assert facts["status"] == "budget"
    assert facts["updates"] == 2
    table = pd.read_csv(folder / "metrics.csv").iloc[1:]
    assert len(table) == 2
    values = table.to_numpy(dtype=float)
    is_read = np.isfinite(values).any(0)  # a probe that is read rarely leaves the second row empty
    assert is_read.all(), list(table.columns[~is_read])
    assert not np.isinf(values).any()
    return table
