import io

import pytest

from rnnbench import cli
from rnnbench.bench.announce import Announcer
from rnnbench.bench.timing import Lanes

TINY = {
    "optim=hf": {
        "optim.gradient_batch_size": 8,
        "optim.curvature_batch_size": 4,
        "optim.backtracking_batch_size": 4,
        "optim.line_search_batch_size": 4,
        "optim.max_cg_iterations": 3,
        "model.hidden_size": 5,
        "task.sequence_length": 12,
    },
    "optim=nag": {"optim.batch_size": 3, "model.hidden_size": 4, "task.sequence_length": 21, "record.log_every": 2},
}


@pytest.fixture
def make_run():
    """Builds what is asked for at a tiny size, with at most two replicas."""

    def make(overrides, num_replicas):
        sizes = TINY[next(word for word in overrides if word in TINY)]
        kept = [word for word in overrides if word.partition("=")[0] not in sizes]
        return cli._make_run([*kept, *(f"{key}={value}" for key, value in sizes.items())], min(num_replicas, 2))

    return make


@pytest.fixture
def announcer():
    return Announcer(io.StringIO())


@pytest.fixture
def lanes():
    with Lanes() as lanes:
        yield lanes
