"""The examples of docs/diagnose.md run."""

import torch
from documents import DOCS, blocks


def test_examples_run(capsys):
    names = {}
    with torch.random.fork_rng([]):  # no device's generator
        for block in blocks(DOCS / "diagnose.md", "python"):
            exec(block, names)
    assert capsys.readouterr().out
