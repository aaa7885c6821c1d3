"""The simple recurrent net with an orthogonal matrix, against torch's own parametrization and the plain net."""

import pytest
import torch
from cases import F64, assert_close, make_case

from rnnbench.config.build import build
from rnnbench.config.plan import make_plan
from rnnbench.config.request import Request
from rnnbench.linear_algebra import cayley
from rnnbench.models.nonlinearity import NONLINEARITIES
from rnnbench.models.orthogonal_rnn import OrthogonalRnn
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.training.problem import Problem, draw_parameters


def by_torch(free):
    """The orthogonal matrix of torch's parametrization, whose own free matrix is lower triangular."""
    linear = torch.nn.Linear(*free.shape, bias=False, dtype=F64)
    torch.nn.utils.parametrizations.orthogonal(linear, orthogonal_map="cayley", use_trivialization=False)
    with torch.no_grad():
        linear.parametrizations.weight.original.copy_(free - free.T)
    return linear.weight.detach()


def plain(model, theta):
    """The simple recurrent net with the matrices of an orthogonal one, and its theta."""
    net = SimpleRnn(model.input_size, model.output_size, model.hidden_size, model.nonlinearity.name, "torch")
    p = {**model.parameters(theta), "weight_hh": model.recurrent_weight(theta)}
    return net, torch.cat([p[name].flatten(1) for name in net.layout], 1)


def test_the_matrix_is_that_of_torchs_parametrization():
    model = OrthogonalRnn(2, 2, 5)
    theta = make_case(model).theta
    for r in range(2):
        assert_close(model.recurrent_weight(theta)[r], by_torch(model.parameters(theta)["free_hh"][r]), 1e-13)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_loss_and_gradient_are_those_of_the_plain_net_through_the_map(nonlinearity):
    """The gradient by F, from the one by W_hh that the plain net's own sweeps give."""
    model = OrthogonalRnn(2, 2, 5, nonlinearity)
    _, theta, batch, objective, _ = make_case(model)
    found, (net, own) = objective.loss_and_gradient(theta), plain(model, theta)
    expected = Objective(Engine(net, dtype=F64), objective.loss_function, batch).loss_and_gradient(own)
    assert_close(found.loss, expected.loss)
    ours, theirs = model.parameters(found.gradient), net.parameters(expected.gradient)
    for name in ("weight_ih", "bias", "initial_state", "weight_out", "bias_out"):
        assert_close(ours[name], theirs[name])
    free = model.parameters(theta)["free_hh"].clone().requires_grad_()
    half, identity = (free - free.mT) / 2, torch.eye(5, dtype=F64)
    rotation = torch.linalg.inv(identity - half) @ (identity + half)
    (by_free,) = torch.autograd.grad(rotation, free, theirs["weight_hh"])
    assert_close(ours["free_hh"], by_free)


@pytest.mark.parametrize("optim", ["adam", "hf", "muon"])
def test_the_matrix_stays_orthogonal(optim):
    words = ("model=orthogonal_rnn", "model.hidden_size=6", f"optim={optim}", "dtype=float64")
    sizes = {"hf": [f"optim.{name}_batch_size=60" for name in ("gradient", "curvature")]}
    rate = ["optim.lr=0.3"] if optim == "adam" else []
    config = make_plan(Request(overrides=(*words, "task.sequence_length=10", *sizes.get(optim, rate)))).configs[0]
    built = build([config, config])
    problem = Problem(built.task, Engine(built.model, dtype=F64), [0, 1])
    start = theta = draw_parameters(built.model, built.inits, problem.seeds, problem.engine)
    state = built.optimizer.initial_state(theta)
    for number in range(5):
        update = built.optimizer.update(theta, state, number, problem.draw(number))
        theta, state = update.theta, update.state
    before, after = built.model.recurrent_weight(start), built.model.recurrent_weight(theta)
    assert (after - before).abs().max() > 1e-3
    assert (after @ after.mT - torch.eye(6, dtype=F64)).abs().max() < 1e-12


def test_a_matrix_that_is_not_finite_leaves_the_others_alone():
    skew = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=F64)
    skew = skew - skew.mT
    bad = skew.clone()
    bad[1, 0, 1] = torch.nan
    assert torch.equal(cayley(bad)[::2], cayley(skew)[::2])
    assert cayley(bad)[1].isnan().all()
    huge = torch.cat([skew, 1e300 * skew[:1], torch.full((1, 4, 4), torch.inf, dtype=F64)])
    assert torch.equal(cayley(huge)[:3], cayley(skew))
