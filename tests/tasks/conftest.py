"""The cases that every test of a task's contract runs over: each task, variant and a few lengths."""

import pytest

from rnnbench.config.packaged_tasks import packaged_tasks, shortest, variants

CASES = [
    (name, variant, sequence_length)
    for name in packaged_tasks()
    for variant in variants(name)
    for sequence_length in sorted({shortest(name, variant), max(shortest(name, variant), 50)})
]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def task(request):
    name, variant, sequence_length = request.param
    return packaged_tasks()[name](sequence_length, variant)
