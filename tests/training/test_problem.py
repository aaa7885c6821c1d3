"""Batches are those of the task, whether they are drawn one by one or several updates at once."""

import pytest
import torch

from rnnbench.losses import LOSSES
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.adding import Adding
from rnnbench.tasks.base import Stream
from rnnbench.tasks.memorization import Memorization
from rnnbench.tasks.random_permutation import RandomPermutation
from rnnbench.tasks.temporal_order import TemporalOrder
from rnnbench.training import problem as module
from rnnbench.training.problem import Problem

TASKS = [
    Adding(10),
    Adding(20, "pascanu13"),
    TemporalOrder(10),
    Memorization(11),
    Memorization(9, "hf11_answers", num_symbols=7, num_positions=4),
    RandomPermutation(3),
]


def same(batch, expected):
    assert torch.equal(batch.inputs, expected.inputs)
    assert torch.equal(batch.lengths, expected.lengths)
    assert (batch.output_steps is None) == (expected.output_steps is None)
    if batch.output_steps is not None:
        assert torch.equal(batch.output_steps, expected.output_steps)
    assert torch.equal(batch.targets, expected.targets)


@pytest.mark.parametrize("at_once", [1, 2**12, 2**18])
@pytest.mark.parametrize("task", TASKS)
def test_batches_do_not_depend_on_how_many_updates_are_drawn_at_once(task, at_once, monkeypatch):
    monkeypatch.setattr(module, "NUMBERS_AT_ONCE", at_once)
    model = SimpleRnn(task.input_size, task.output_size, 3)
    whole = Problem(task, Engine(model), [5, 6, 7])
    for seeds, problem in (([5, 6, 7], whole), ([7, 5], whole.replicas([2, 0]))):
        for update in (0, 1, 2, 31, 32, 33, 100, 7):
            draw = problem.draw(update)
            for stream, size in ((Stream.GRADIENT, 4), (Stream.LINE_SEARCH, 3), (Stream.GRADIENT, 4)):
                same(draw(stream, size).batch, task.replica_batch(seeds, stream, update, size))


def test_small_batches_are_drawn_several_at_once():
    calls = []

    class Counted(Adding):
        def replica_batch(self, seeds, *arguments, **options):
            calls.append(len(seeds))
            return super().replica_batch(seeds, *arguments, **options)

    problem = Problem(Counted(10), Engine(SimpleRnn(2, 1, 3)), [1, 2])
    for update in range(40):
        problem.draw(update)(Stream.GRADIENT, 8)
    assert calls == [64, 64]
    calls.clear()
    for update in range(3):
        problem.draw(update)(Stream.GRADIENT, 60_000)
    assert calls == [2, 2, 2]


@pytest.mark.parametrize("task", TASKS)
def test_an_evaluation_is_the_mean_over_the_held_out_sequences(task, monkeypatch):
    """By its columns: loss and error rate, and what the task says of its answers."""
    monkeypatch.setattr(module, "NUM_EVALUATION_SEQUENCES", 150)
    model = SimpleRnn(task.input_size, task.output_size, 4)
    generator = torch.Generator().manual_seed(3)
    theta = torch.randn(3, model.num_parameters, generator=generator, dtype=torch.float64)
    problem = Problem(task, Engine(model, dtype=torch.float64), [5, 6, 7])
    found = problem.evaluate(theta, Stream.CONFIRMATION, 40)
    columns = {"loss/eval", "error_rate/eval", *(metric.tag for metric in task.evaluation_metrics)}
    assert set(found) == columns
    batch = task.replica_batch([0], Stream.CONFIRMATION, 0, 150, first_row=40, dtype=torch.float64)
    for replica in range(3):
        row = theta[replica : replica + 1]
        objective = Objective(problem.engine, problem.loss, batch)
        outputs = objective.outputs(row)
        losses = LOSSES[task.loss].values(outputs, batch.targets)
        expected = {"loss/eval": losses.mean(), "error_rate/eval": task.misses(outputs, batch).double().mean()}
        expected |= {tag: score.double().mean() for tag, score in task.scores(outputs, losses, batch).items()}
        for column in columns:
            assert found[column].shape == (3,)
            assert found[column].dtype == torch.float64
            assert float(found[column][replica]) == pytest.approx(float(expected[column]), rel=1e-12), column
