"""The notebooks run in a kernel of Jupyter, and are saved without outputs."""

from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs/notebooks").glob("*.ipynb"))


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def printed(cells):
    return "".join(output.get("text", "") for cell in cells for output in cell.outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_saved_without_outputs(path):
    cells = code_cells(nbformat.read(path, as_version=4))
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)


@pytest.mark.slow
def test_notebooks_run(tmp_path, monkeypatch):
    """One kernel runs them all: to start it and to import torch takes longer than a notebook."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebooks = {path.stem: nbformat.read(path, as_version=4) for path in NOTEBOOKS}
    every_cell = []
    for notebook in notebooks.values():
        every_cell += [nbformat.v4.new_code_cell("%reset -f"), *notebook.cells]
    together = nbformat.v4.new_notebook(cells=every_cell)
    nbclient.NotebookClient(together, timeout=None, resources={"metadata": {"path": str(tmp_path)}}).execute()
    first_run = code_cells(notebooks["first_run"])
    assert "\r\u2588" in printed(first_run)  # the progress bar
    assert "update 28/28" not in printed(first_run)  # quiet=True
    assert any("image/png" in output.get("data", {}) for cell in first_run for output in cell.outputs)
    assert "largest exponent" in printed(code_cells(notebooks["diagnose_your_lstm"]))
    assert "error rate" in printed(code_cells(notebooks["hessian_free_on_your_module"]))
