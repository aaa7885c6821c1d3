"""The code of docs/hf_modules.md and of its notebook runs."""

import json
import re
from pathlib import Path

import torch

DOCS = Path(__file__).parents[2] / "docs"


def run(pieces):
    names, threads, state = {}, torch.get_num_threads(), torch.get_rng_state()
    try:
        for piece in pieces:
            exec(piece, names)
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)
    return names


def test_the_examples_of_the_page_run():
    names = run(re.findall(r"^```python\n(.*?)^```", (DOCS / "hf_modules.md").read_text(), re.DOTALL | re.MULTILINE))
    assert names["result"].products > 0


def test_the_notebook_runs_and_is_saved_without_outputs(capsys):
    notebook = json.loads((DOCS / "notebooks/hessian_free_on_your_module.ipynb").read_text())
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    sources = ["".join(cell["source"]) for cell in cells]
    names = run(source.replace("range(30)", "range(4)") for source in sources)
    assert names["results"][-1].loss < names["results"][0].loss
    assert "error rate" in capsys.readouterr().out
