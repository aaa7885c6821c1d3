"""The examples of docs/python.md run, and so do the notebooks, where what executes them is installed."""

import json
import re
from pathlib import Path

import pytest
import torch

DOCS = Path(__file__).parents[2] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


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


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_saved_without_outputs(path):
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_run(path, tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    if path.stem == "first_run":
        assert any("update 100/100" in output.get("text", "") or "solved" in str(output) for output in shown)
