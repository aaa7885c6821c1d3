"""The examples of docs/diagnose.md and of its notebook run."""

import json
import re
from pathlib import Path

import pytest
import torch

DOCS = Path(__file__).parents[2] / "docs"


def page():
    return re.findall(r"^```python\n(.*?)^```", (DOCS / "diagnose.md").read_text(), re.DOTALL | re.MULTILINE)


def notebook():
    cells = json.loads((DOCS / "notebooks/diagnose_your_lstm.ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    return ["".join(cell["source"]) for cell in code]


@pytest.mark.parametrize("blocks", [page, notebook])
def test_examples_run(blocks, capsys):
    names = {}
    with torch.random.fork_rng([]):  # no device's generator
        for block in blocks():
            exec(block, names)
    assert capsys.readouterr().out
