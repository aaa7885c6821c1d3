"""The judgement of derivatives_together, from numbers made by hand, and the derivatives behind its numbers."""

import math

import pytest
import torch

from rnnbench.config.rule import load_rule
from rnnbench.experiments.derivatives_together import DerivativesTogether
from rnnbench.experiments.far_derivatives import by_initial_state, by_weight_copies
from rnnbench.experiments.nets import Nets
from rnnbench.experiments.trajectories import follow
from rnnbench.experiments.verdict import conclude
from rnnbench.losses import LOSSES
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.adding import Adding

NUM_STEPS, NUM_SEQUENCES, SIZE = 8, 4, 3
LOSS = LOSSES["squared_error"]


def measured(ratios, count=60, gradient=-0.4):
    """Nets whose second derivatives have some rates over the gradient's."""
    of_one = {"gradient": [gradient] * count, **{name: [gradient * each] * count for name, each in ratios.items()}}
    return {"rates": {"initial_state": dict(of_one), "weight_copy": dict(of_one)}}


@pytest.mark.parametrize(
    ("hessian", "gauss_newton", "of_linear", "verdict"),
    [
        (1.0, 2.0, 2.0, "holds"),
        (1.09, 1.81, 2.0, "holds"),
        (1.11, 2.0, 2.0, "does not hold"),
        (0.89, 2.0, 2.0, "does not hold"),
        (1.0, 2.21, 2.0, "does not hold"),
        (1.0, 1.0, 2.0, "does not hold"),
        (1.0, 2.0, 1.0, "not decided"),
    ],
)
def test_judgement(hessian, gauss_newton, of_linear, verdict):
    experiment = DerivativesTogether(load_rule("derivatives_together"))
    nets = measured({"hessian": hessian, "gauss_newton": gauss_newton})
    control = measured({"hessian": of_linear, "gauss_newton": of_linear})
    assert conclude(experiment.judge({"nets": nets, "control": control}))[0] == verdict


def test_nets_whose_gradient_does_not_vanish_do_not_count():
    experiment = DerivativesTogether(load_rule("derivatives_together"))
    control = measured({"hessian": 2.0, "gauss_newton": 2.0})
    nets = measured({"hessian": 1.0, "gauss_newton": 2.0}, gradient=-0.05)
    assert conclude(experiment.judge({"nets": nets, "control": control}))[0] == "not decided"


def some_trajectories(nonlinearity):
    model = SimpleRnn(2, 1, SIZE, nonlinearity)
    generator = torch.Generator().manual_seed(0)
    theta = 0.6 * torch.randn(2, model.num_parameters, generator=generator, dtype=torch.float64)
    return follow(Adding(NUM_STEPS, "urnn16"), model, theta, [1, 2], NUM_SEQUENCES)


def block(product, model, theta, name):
    """The columns of one parameter's block of a matrix, (R, p, p)."""
    columns = []
    for column in range(model.parameters(theta)[name].flatten(1).shape[1]):
        direction = torch.zeros_like(theta)
        model.parameters(direction)[name].flatten(1)[:, column] = 1
        columns.append(model.parameters(product(direction))[name].flatten(1))
    return torch.stack(columns, 2)


@pytest.mark.parametrize("nonlinearity", ["tanh", "sigmoid", "linear"])
def test_those_by_the_initial_state_are_blocks_of_the_whole_ones(nonlinearity):
    trajectories = some_trajectories(nonlinearity)
    model, theta = trajectories.model, trajectories.theta
    objective = Objective(Engine(model, dtype=torch.float64), LOSS, trajectories.batch)
    found = by_initial_state(trajectories, LOSS)
    gradient = model.parameters(objective.loss_and_gradient(theta).gradient)["initial_state"]
    assert torch.allclose(found.gradient, gradient, rtol=1e-11, atol=1e-14)
    for matrix, product in (
        (found.hessian, objective.hessian(theta).product),
        (found.gauss_newton, objective.linearize(theta).product),
    ):
        assert torch.allclose(matrix, block(product, model, theta, "initial_state"), rtol=1e-10, atol=1e-13)


def test_those_by_a_copy_of_the_weights_equal_autograd():
    trajectories = some_trajectories("tanh")
    p, batch = trajectories.model.parameters(trajectories.theta), trajectories.batch
    distances = [0, 3, NUM_STEPS - 1]
    found = list(by_weight_copies(trajectories, LOSS, distances))

    def outputs(copy, r, at):
        state = p["initial_state"][r].expand(NUM_SEQUENCES, SIZE)
        for step in range(NUM_STEPS):
            weight = copy.view(SIZE, SIZE) if step == at else p["weight_hh"][r]
            state = torch.tanh(state @ weight.mT + batch.inputs[step, r] @ p["weight_ih"][r].mT + p["bias"][r])
        return (state @ p["weight_out"][r].mT + p["bias_out"][r])[:, 0]

    for distance, derivatives in zip(distances, found, strict=True):
        for r in range(2):
            weight, target, at = p["weight_hh"][r].flatten(), batch.targets[0, r, :, 0], NUM_STEPS - 1 - distance
            loss = lambda w, r=r, y=target, at=at: (outputs(w, r, at) - y).square().mean()  # noqa: E731 # of this one
            jacobian = torch.autograd.functional.jacobian(lambda w, r=r, at=at: outputs(w, r, at), weight)
            for one, expected in (
                (derivatives.gradient, torch.autograd.functional.jacobian(loss, weight)),
                (derivatives.hessian, torch.autograd.functional.hessian(loss, weight)),
                (derivatives.gauss_newton, 2 * jacobian.mT @ jacobian / NUM_SEQUENCES),
            ):
                assert torch.allclose(one[r], expected, rtol=1e-9, atol=1e-13)


def test_rates_of_one_linear_unit_in_closed_form():
    """d^2L/dh_0^2 = 2 (u w^T)^2, u the readout's weight: its logarithm falls by 2 ln w a step."""
    changes = {"first_distance": 2, "last_distance": 12, "spacing": 5, "num_settling": 1, "num_sequences": 3}
    experiment = DerivativesTogether(load_rule("derivatives_together", changes=changes))
    model = SimpleRnn(2, 1, 1, "linear")
    theta = torch.zeros(2, model.num_parameters, dtype=torch.float64)
    model.parameters(theta)["weight_hh"][:, 0, 0] = torch.tensor([0.5, 0.9])
    model.parameters(theta)["weight_out"][:] = 0.3
    model.parameters(theta)["bias"][:] = 1.0
    rows = [0, 1]
    nets = Nets([FakeConfig(100 + row) for row in rows], [], Adding(30, "urnn16"), model, theta)
    rates = experiment._measure(nets)["rates"]
    expected = [2 * math.log(0.5), 2 * math.log(0.9)]
    for order in ("hessian", "gauss_newton"):
        assert rates["initial_state"][order] == pytest.approx(expected)


class FakeConfig:
    """What the measurement reads of a net's configuration."""

    def __init__(self, seed):
        self.seed = seed
