"""Every task trains from the command line, and each of its columns has numbers."""

import json

import numpy as np
import pandas as pd
import pytest

from rnnbench import cli
from rnnbench.config.packaged_tasks import packaged_tasks, shortest, variants

SMALL = ("model.hidden_size=6", "threads=1", "budget.updates=2", "hydra.run.dir=run")
HF = [f"optim.{name}_batch_size=12" for name in ("gradient", "curvature")]
MEMORIZED = {"answer_loss/eval", "wrong_symbols/eval", "exact_sequence_rate/eval"}
SCORES = {
    "random_permutation": {"answer_loss/eval"},
    "delayed_copy": {"wrong_outputs/eval"},
    "delayed_xor": {"wrong_outputs/eval"},
    **{name: MEMORIZED for name in ("copy_memory", "memorization_1", "memorization_5", "memorization_20")},
}


@pytest.mark.parametrize("name", packaged_tasks())
def test_every_task_trains(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    length = max(shortest(name, variant) for variant in variants(name))
    overrides = [f"task={name}", f"task.sequence_length={length}", *SMALL, *HF, "optim.max_cg_iterations=3"]
    assert cli.main(["train", "-q", *overrides]) == 0
    table = pd.read_csv("run/metrics.csv")
    assert np.isfinite(table.iloc[1:].to_numpy(dtype=float)).all()
    evaluated = [column for column in table.columns if column.endswith("/eval")]
    assert set(evaluated) == {"loss/eval", "error_rate/eval", *SCORES.get(name, ())}
    assert table[evaluated].notna().all(axis=None)
    facts = json.loads((tmp_path / "run/summary.json").read_text())
    assert facts["error_rate"] == table["error_rate/eval"].iloc[-1]
    assert facts["baseline_loss"] > 0
    assert "constant predictor" in capsys.readouterr().out
