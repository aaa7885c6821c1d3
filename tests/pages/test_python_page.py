"""The examples of docs/python.md run."""

import re
from pathlib import Path

import pytest
import torch

DOCS = Path(__file__).parents[2] / "docs"


def test_the_examples_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = re.sub(r"budget\.updates=(\d)00", r"budget.updates=\1", (DOCS / "python.md").read_text())
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        exec(block, names)
    assert names["run"].summary.updates == 4
    assert names["sweep"].counts == {"budget": 8}
    assert (tmp_path / "not_yet_solved.svg").is_file()
    assert names["held_out_loss"].detach().item() == pytest.approx(names["run"].summary.loss, rel=1e-5)
    assert torch.equal(names["at_end"], names["at_targets"])
    assert names["tuned"].config.init.path == "tuned.pt"
    assert "\noptim has no choice 'hff'; did you mean hf? " in capsys.readouterr().out
