"""The number of worker threads is the fastest that was measured, and the fewest where it makes no difference."""

import pytest
import torch

from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.tasks.adding import Adding
from rnnbench.training import threads
from rnnbench.training.threads import candidates, choose, fastest_threads


@pytest.mark.parametrize(
    ("processors", "expected"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8]), (12, [1, 2, 4, 8, 12])]
)
def test_candidates(processors, expected):
    assert candidates(processors) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ({1: [1.0], 2: [0.6], 4: [0.4]}, 4),
        ({1: [1.0], 2: [0.97], 4: [0.96]}, 1),
        ({1: [1.0], 2: [0.6], 4: [0.59]}, 2),
        ({1: [1.0], 2: [9.0], 4: [0.5]}, 4),
        ({1: [1.0, 1.0, 50.0], 2: [0.6, 0.6, 0.6]}, 2),
        ({1: [1.0, 1.0, 1.0], 2: [0.1, 1.2, 1.3]}, 1),
    ],
)
def test_choice(seconds, expected):
    assert choose(seconds) == expected


def test_what_is_measured_decides(monkeypatch):
    """A clock by which two workers take a third of the time of one, and three take longer."""
    clock = [0.0]
    monkeypatch.setattr(threads.time, "perf_counter", lambda: clock[0])
    measured = threads.Objective.loss_and_gradient

    def take_time(objective, theta):
        clock[0] += {1: 3.0, 2: 1.0, 3: 4.0}[objective.engine.threads]
        return measured(objective, theta)

    monkeypatch.setattr(threads.Objective, "loss_and_gradient", take_time)
    task, model = Adding(6), SimpleRnn(2, 1, 4)
    assert fastest_threads(task, model, 2, 5, torch.float32, 3) == 2
    spent = clock[0]
    assert fastest_threads(task, model, 2, 5, torch.float32, 3) == 2  # not measured again
    assert clock[0] == spent
    assert fastest_threads(task, model, 2, 5, torch.float32, 1) == 1
