"""Batches of tasks with several outputs of a sequence, at every step or at the last ones, against dense references."""

import pytest
import torch
from plain_rnn import dense_gauss_newton, mean_loss, run

from rnnbench.curvature.engine import ROWS_PER_BLOCK, Engine
from rnnbench.curvature.objective import Objective
from rnnbench.losses import LOSSES
from rnnbench.models.gru import Gru
from rnnbench.models.simple_rnn import SimpleRnn
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
RELATIVE = 1e-12  # float64: a few hundred roundings of 1e-16


def close(actual, expected):
    error = (actual - expected).abs().max() / expected.abs().max()
    assert error < RELATIVE, f"relative error {error:.2e}"


def case(task, seeds, size, make=SimpleRnn, hidden_size=3):
    model = make(task.input_size, task.output_size, hidden_size)
    generator = torch.Generator().manual_seed(1)
    theta = 0.5 * torch.randn(len(seeds), model.num_parameters, generator=generator, dtype=torch.float64)
    vector = torch.randn(theta.shape, generator=generator, dtype=torch.float64)
    batch = task.batch(seeds, Stream.GRADIENT, 3, size, dtype=torch.float64)
    return model, theta, vector, batch, Objective(Engine(model, dtype=torch.float64), LOSSES[task.loss], batch)


@pytest.mark.parametrize("name", TASKS)
def test_loss_is_the_mean_over_the_outputs_and_so_are_gradient_and_product(name):
    task = TASKS[name]
    model, theta, vector, batch, objective = case(task, [1, 2], 2)
    leaf = theta.clone().requires_grad_()
    expected = mean_loss(task.loss, run(model, "tanh", leaf, batch)[0], batch.targets)
    (gradient,) = torch.autograd.grad(expected.sum(), leaf)
    found = objective.loss_and_gradient(theta)
    close(found.loss, expected.detach())
    close(objective.loss(theta), expected.detach())
    close(found.gradient, gradient)
    weight = torch.tensor([[0.0], [0.7]], dtype=torch.float64)
    matrix = dense_gauss_newton(model, "tanh", theta, batch, task.loss, weight)
    close(objective.linearize(theta, weight).product(vector), torch.einsum("rij,rj->ri", matrix, vector))


@pytest.mark.parametrize("make", [SimpleRnn, Gru])
@pytest.mark.parametrize("name", TASKS)
def test_replica_law(name, make):
    _, theta, vector, batch, objective = case(TASKS[name], [1, 2, 3], 5, make)
    weight = torch.tensor([[0.1], [0.0], [0.7]], dtype=torch.float64)
    together, product = objective.loss_and_gradient(theta), objective.linearize(theta, weight).product(vector)
    for r in range(3):
        rows = slice(r, r + 1)
        alone = Objective(objective.engine, objective.loss_function, batch.replicas(rows))
        result = alone.loss_and_gradient(theta[rows])
        close(result.loss, together.loss[rows])
        close(result.gradient, together.gradient[rows])
        close(alone.linearize(theta[rows], weight[rows]).product(vector[rows]), product[rows])


@pytest.mark.parametrize("threads", [1, 2])
def test_outputs_are_read_block_by_block(threads):
    task = TASKS["last steps"]
    model, theta, _, batch, objective = case(task, [1, 2, 3], 400)
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
