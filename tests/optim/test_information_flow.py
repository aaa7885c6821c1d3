"""The penalty on vanishing gradients (Pascanu et al. 2013): its value, its immediate gradient and its use."""

from dataclasses import replace

import pytest
import torch
from cases import assert_close, make_case
from first_order_cases import OPTIMIZERS, column

from rnnbench.models.nonlinearity import NONLINEARITIES
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective import engine
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective

WEIGHTS = column(0.0, 0.5, 4.0)


def case(nonlinearity="tanh", *, recurrence="auto", **options):
    return make_case(SimpleRnn(2, 2, 4, nonlinearity, recurrence), **{"num_replicas": 3, "num_sequences": 5, **options})


def reference(model, theta, batch, states, state_gradients):
    """Penalty (R,) and its gradient (R, P), from the Jacobians of every step and by autograd with constant f'(a_t)."""
    jacobians = model.state_jacobians(theta, states[:-1], batch.inputs)
    squares = state_gradients.square().sum(-1)
    counts = squares >= 1e-20
    squares = torch.where(counts, squares, 1)
    carried = torch.einsum("trbi,trbij->trbj", state_gradients, jacobians).square().sum(-1)
    penalty = torch.where(counts, carried / squares - 1, 0).square().sum((0, 2)) / counts.sum((0, 2))

    own = theta.clone().requires_grad_()
    weight = model.parameters(own)["weight_hh"]
    before = state_gradients * model.nonlinearity.derivative(states[1:])
    ratios = torch.einsum("trbi,rij->trbj", before, weight).square().sum(-1) / squares
    mean = torch.where(counts, ratios - 1, 0).square().sum((0, 2)) / counts.sum((0, 2))
    (gradient,) = torch.autograd.grad(mean.sum(), own)
    return penalty, gradient


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("recurrence", ["torch", "auto"])
@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_equals_the_jacobians_and_autograd_with_constant_states(nonlinearity, recurrence, every_step):
    model, theta, batch, objective, _ = case(nonlinearity, recurrence=recurrence, every_step=every_step)
    result = objective.loss_and_gradient(theta, with_flow=True)
    trace = result.trace
    penalty, gradient = reference(model, theta, batch, trace.states(5), trace.state_gradients(5))
    assert_close(result.flow.penalty, penalty)
    assert_close(result.flow.gradient, gradient)
    assert torch.equal(result.gradient, objective.loss_and_gradient(theta).gradient)


def test_is_zero_where_the_gradient_keeps_its_norm():
    model, theta, _, objective, _ = case("linear")
    rotation = torch.linalg.qr(torch.randn(3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))).Q
    parameters = {name: tensor.clone() for name, tensor in model.parameters(theta).items()}
    parameters["weight_hh"] = rotation
    theta = torch.cat([parameters[name].flatten(1) for name in model.layout], 1)
    flow = objective.loss_and_gradient(theta, with_flow=True).flow
    assert flow.penalty.abs().max() < 1e-25
    assert flow.gradient.abs().max() < 1e-12


@pytest.mark.parametrize("threads", [1, 2])
def test_does_not_depend_on_blocks(monkeypatch, threads):
    model, theta, batch, objective, _ = case(num_sequences=40, recurrence="torch", threads=threads)
    expected = objective.loss_and_gradient(theta, with_flow=True).flow
    monkeypatch.setattr(engine, "ROWS_PER_BLOCK", 24)
    monkeypatch.setattr(engine, "SEQUENCES_WORTH_A_BLOCK", 4)
    parts = Objective(Engine(model, threads, dtype=torch.float64), objective.loss_function, batch)
    assert len(parts.gradient_blocks) > 3
    flow = parts.loss_and_gradient(theta, with_flow=True).flow
    assert_close(flow.penalty, expected.penalty)
    assert_close(flow.gradient, expected.gradient)


def test_a_replica_equals_the_net_alone():
    _, theta, batch, objective, _ = case()
    together = objective.loss_and_gradient(theta, with_flow=True).flow
    for r in range(3):
        rows = slice(r, r + 1)
        own = Objective(objective.engine, objective.loss_function, batch.replicas(rows))
        alone = own.loss_and_gradient(theta[rows], with_flow=True).flow
        assert_close(alone.penalty, together.penalty[rows])
        assert_close(alone.gradient, together.gradient[rows])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_adds_its_gradient_before_clipping(name):
    _, theta, _, objective, _ = case()
    optimizer = replace(OPTIMIZERS[name], information_flow=WEIGHTS)
    state = optimizer.initial_state(theta)
    update = optimizer.update(theta, state, 0, lambda stream, size: objective)
    both = objective.loss_and_gradient(theta, with_flow=True)
    expected = optimizer.clip(both.gradient + WEIGHTS * both.flow.gradient)
    assert_close(update.clipped_gradient, expected)
    assert_close(update.theta, optimizer.advance(expected, theta, state, 0, objective)[0])
    assert torch.equal(update.metrics["penalty/information_flow"], both.flow.penalty)
    assert torch.equal(update.gradient.gradient, both.gradient)
    plain = OPTIMIZERS[name].update(theta, state, 0, lambda stream, size: objective)
    assert torch.equal(update.theta[0], plain.theta[0])
    assert not plain.metrics
