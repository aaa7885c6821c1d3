"""The code of docs/hf_modules.md runs."""

import torch
from documents import DOCS, blocks


def test_the_examples_of_the_page_run():
    names, threads = {}, torch.get_num_threads()
    with torch.random.fork_rng([]):  # no device's generator
        for block in blocks(DOCS / "hf_modules.md", "python"):
            exec(block, names)
    torch.set_num_threads(threads)
    assert names["result"].products > 0
