"""Batches are those of the task, whether they are drawn one by one or several updates at once."""

import pytest
import torch

from rnnbench.curvature.engine import Engine
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.tasks.adding import Adding
from rnnbench.tasks.base import Stream
from rnnbench.tasks.temporal_order import TemporalOrder
from rnnbench.training import problem as module
from rnnbench.training.problem import Problem


def same(batch, expected):
    assert torch.equal(batch.inputs, expected.inputs)
    assert torch.equal(batch.lengths, expected.lengths)
    assert torch.equal(batch.output_steps, expected.output_steps)
    assert torch.equal(batch.targets, expected.targets)


@pytest.mark.parametrize("at_once", [1, 2**12, 2**18])
@pytest.mark.parametrize("task", [Adding(10), Adding(20, "pascanu13"), TemporalOrder(10)])
def test_batches_do_not_depend_on_how_many_updates_are_drawn_at_once(task, at_once, monkeypatch):
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", at_once)
    model = SimpleRnn(task.input_size, task.output_size, 3)
    whole = Problem(task, Engine(model), [5, 6, 7])
    for seeds, problem in (([5, 6, 7], whole), ([7, 5], whole.replicas([2, 0]))):
        for update in (0, 1, 2, 31, 32, 33, 100, 7):
            draw = problem.draw(update)
            for stream, size in ((Stream.GRADIENT, 4), (Stream.LINE_SEARCH, 3), (Stream.GRADIENT, 4)):
                same(draw(stream, size).batch, task.batch(seeds, stream, update, size))


def test_small_batches_are_drawn_several_at_once():
    calls = []

    class Counted(Adding):
        def batch(self, seeds, *arguments, **options):
            calls.append(len(seeds))
            return super().batch(seeds, *arguments, **options)

    problem = Problem(Counted(10), Engine(SimpleRnn(2, 1, 3)), [1, 2])
    for update in range(40):
        problem.draw(update)(Stream.GRADIENT, 8)
    assert calls == [64, 64]
    calls.clear()
    for update in range(3):
        problem.draw(update)(Stream.GRADIENT, 20_000)
    assert calls == [2, 2, 2]
