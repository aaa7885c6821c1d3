"""The progress of a run, as its callbacks pass it on."""

from types import SimpleNamespace

import pytest

from rnnbench.run.callbacks import RunCallbacks
from rnnbench.training.plan import TrainingPlan
from rnnbench.training.replica import Replica


@pytest.mark.parametrize(
    ("running", "shares"), [([0, 1], [2e-7, 0.25, 0.5]), ([1], [2e-7, 0.5, 0.5]), ([], [2e-7, 0.5, 0.5])]
)
def test_the_replica_that_ends_last_counts(running, shares):
    """Products make the updates of replicas cost different numbers of sequences."""
    shown = {}
    progress = SimpleNamespace(show=lambda update, **values: shown.update(values))
    first = Replica(sequences=250.0, loss=0.1, error_rate=0.5)
    second = Replica(sequences=500.0, loss=0.1, error_rate=0.5)
    training = SimpleNamespace(
        replicas=[first, second],
        running=lambda: running,
        plan=TrainingPlan(10**8, 1000, 60.0, 1, 1, 1, None, True),
        update=20,
        seconds=30.0,
    )
    RunCallbacks(progress, None, None, []).on_update(training, None)
    assert shown["shares"] == shares
