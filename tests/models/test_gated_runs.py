"""Whole small runs of the gated nets: every optimizer steps, every probe reads."""

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

SMALL = ("task.sequence_length=10", "model.hidden_size=6", "init.num_connections=4", "budget.updates=2", "threads=2")
EVERY = ("record.log_every=1", "record.evaluate_every=1")
HF = tuple(f"optim.{name}_batch_size=200" for name in ("gradient", "curvature", "backtracking", "line_search"))
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
    overrides = [f"task={task}", f"model={model}", f"optim={optim}", *SMALL, *EVERY, *(HF if optim == "hf" else ())]
    (config,) = make_plan(Request(overrides=(*overrides, f"hydra.run.dir={tmp_path}-unused"))).configs
    assert run_job(Job(config, tmp_path), set_up([config]), quiet=True) == 0
    facts = json.loads((tmp_path / "summary.json").read_text())
    assert facts["status"] == "budget"
    assert facts["updates"] == 2
    table = pd.read_csv(tmp_path / "metrics.csv").iloc[1:]
    assert len(table) == 2
    values = table.to_numpy(dtype=float)
    assert np.isfinite(values).all(), list(table.columns[~np.isfinite(values).all(0)])
    assert (table["update/norm"] > 0).any()
    assert not torch.backends.cudnn.allow_tf32
