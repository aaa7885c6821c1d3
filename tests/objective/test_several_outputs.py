"""Batches of tasks with several outputs of a sequence, at every step or at the last ones, against dense references."""

import pytest
import torch
from cases import assert_close, assert_replica_law, case_of, mean_loss
from plain_rnn import dense_gauss_newton, run

from rnnbench.models.gru import Gru
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import ROWS_PER_BLOCK, Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.base import Stream
from rnnbench.tasks.memorization import Memorization
from rnnbench.tasks.random_permutation import RandomPermutation
from rnnbench.tasks.xor import Xor

TASKS = {
    "every step": Memorization(6, num_symbols=3, num_positions=2),
    "last steps": Memorization(6, "hf11_answers", num_symbols=3, num_positions=2),
    "every step, many units": RandomPermutation(3),
    "one, at ends that differ": Xor(12, "thesis"),
    "one, logistic": Xor(40),
}


def case(task, seeds, size, make=SimpleRnn, hidden_size=3):
    model = make(task.input_size, task.output_size, hidden_size)
    return case_of(model, task.loss, task.replica_batch(seeds, Stream.GRADIENT, 3, size, dtype=torch.float64))


@pytest.mark.parametrize("name", TASKS)
def test_loss_is_the_mean_over_the_outputs_and_so_are_gradient_and_product(name):
    task = TASKS[name]
    made = case(task, [1, 2], 2)
    model, theta, batch, objective, _ = made
    leaf = theta.clone().requires_grad_()
    expected = mean_loss(task.loss, run(model, "tanh", leaf, batch)[0], batch.targets)
    (gradient,) = torch.autograd.grad(expected.sum(), leaf)
    found = objective.loss_and_gradient(theta)
    assert_close(found.loss, expected.detach())
    assert_close(objective.loss(theta), expected.detach())
    assert_close(found.gradient, gradient)
    weight = torch.tensor([[0.0], [0.7]], dtype=torch.float64)
    matrix = dense_gauss_newton(model, "tanh", theta, batch, task.loss, weight)
    vector = made.vector()
    assert_close(objective.linearize(theta, weight).product(vector), torch.einsum("rij,rj->ri", matrix, vector))


@pytest.mark.parametrize("make", [SimpleRnn, Gru])
@pytest.mark.parametrize("name", TASKS)
def test_replica_law(name, make):
    weight = torch.tensor([[0.1], [0.0], [0.7]], dtype=torch.float64)
    assert_replica_law(case(TASKS[name], [1, 2, 3], 5, make), weight)


@pytest.mark.parametrize("threads", [1, 2])
def test_outputs_are_read_block_by_block(threads):
    task = TASKS["last steps"]
    model, theta, batch, objective, _ = case(task, [1, 2, 3], 400)
    many = Objective(Engine(model, threads, dtype=torch.float64), objective.loss_function, batch)
    sizes = []

    def read(outputs, block):
        assert outputs.shape[:3] == block.targets.shape
        sizes.append(outputs.shape[1] * outputs.shape[2])
        return {"sum": outputs.sum(-1), "first": block.targets[0], "miss": task.misses(outputs, block)}

    found = many.read_outputs(theta, read)
    outputs = many.outputs(theta)
    assert sum(sizes) == 1200
    assert max(sizes) <= 2 * ROWS_PER_BLOCK
    assert torch.equal(found["sum"], outputs.sum(-1))
    assert torch.equal(found["first"], batch.targets[0])
    assert torch.equal(found["miss"], task.misses(outputs, batch))
    assert found["miss"].dtype == torch.bool
    many.engine.close()
