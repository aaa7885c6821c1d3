"""The code of docs/hf_modules.md runs."""

import re
from pathlib import Path

import torch

PAGE = Path(__file__).parents[2] / "docs/hf_modules.md"


def test_the_examples_of_the_page_run():
    names, threads = {}, torch.get_num_threads()
    with torch.random.fork_rng([]):  # no device's generator
        for block in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE):
            exec(block, names)
    torch.set_num_threads(threads)
    assert names["result"].products > 0
