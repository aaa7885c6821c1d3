"""The examples of docs/diagnose.md run."""

import re
from pathlib import Path

import torch

PAGE = Path(__file__).parents[2] / "docs/diagnose.md"


def test_examples_run(capsys):
    names = {}
    with torch.random.fork_rng([]):  # no device's generator
        for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE):
            exec(block, names)
    assert capsys.readouterr().out
