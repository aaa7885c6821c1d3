"""The cases that every test of a task's contract runs over: each task, variant and a few lengths."""

import pytest

from rnnbench.tasks.table import TASKS, shortest, variants

CASES = [
    (name, variant, sequence_length)
    for name in TASKS
    for variant in variants(name)
    for sequence_length in (shortest(name, variant), 50)
]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def task(request):
    name, variant, sequence_length = request.param
    return TASKS[name](sequence_length, variant)
