"""The judgement of newton_rescaling, from numbers made by hand, and the arithmetic behind its numbers."""

import pytest
import torch

from rnnbench.config.rule import load_rule
from rnnbench.experiments.newton_rescaling import NewtonRescaling, recurrent_gauss_newton, recurrent_parts
from rnnbench.experiments.trajectories import follow
from rnnbench.experiments.verdict import conclude
from rnnbench.losses import LOSSES
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.objective.engine import Engine
from rnnbench.objective.objective import Objective
from rnnbench.tasks.adding import Adding


def nets(gains):
    return {"gain": gains, **{name: [0.1] * len(gains) for name in ("gradient_ratio", "newton_ratio", "cosine")}}


@pytest.mark.parametrize(
    ("gains", "control", "verdict"),
    [
        ([5.0] * 60, [1.0] * 60, "holds"),
        ([5.0] * 48 + [1.0] * 12, [1.0] * 60, "not decided"),
        ([1.1] * 60, [1.0] * 60, "does not hold"),
        ([5.0] * 60, [3.0] * 60, "not decided"),
    ],
)
def test_judgement(gains, control, verdict):
    experiment = NewtonRescaling(load_rule("newton_rescaling"))
    assert conclude(experiment.judge({"nets": nets(gains), "control": nets(control)}))[0] == verdict


class SomeNets:
    """Two small nets on the adding problem."""

    task = Adding(8, "urnn16")
    model = SimpleRnn(2, 1, 3)
    generator = torch.Generator().manual_seed(0)
    theta = 0.6 * torch.randn(2, model.num_parameters, generator=generator, dtype=torch.float64)


def test_the_parts_of_the_steps_sum_to_the_gradient():
    trajectories = follow(SomeNets.task, SomeNets.model, SomeNets.theta, [1, 2], 5)
    objective = Objective(Engine(SomeNets.model, dtype=torch.float64), LOSSES["squared_error"], trajectories.batch)
    gradient = SomeNets.model.parameters(objective.loss_and_gradient(SomeNets.theta).gradient)["weight_hh"]
    assert torch.allclose(recurrent_parts(trajectories).sum(0), gradient.flatten(1), rtol=1e-11, atol=1e-14)


def test_the_matrix_is_that_of_the_outputs_jacobians():
    trajectories = follow(SomeNets.task, SomeNets.model, SomeNets.theta, [1, 2], 5)
    batch = trajectories.batch

    def outputs(weight, row):
        p = {name: value[row] for name, value in SomeNets.model.parameters(SomeNets.theta).items()}
        state = p["initial_state"].expand(5, 3)
        for inputs in batch.inputs[:, row]:
            state = torch.tanh(state @ weight.view(3, 3).mT + inputs @ p["weight_ih"].mT + p["bias"])
        return (state @ p["weight_out"].mT + p["bias_out"])[:, 0]

    found = recurrent_gauss_newton(SomeNets, trajectories)
    for row in range(2):
        weight = SomeNets.model.parameters(SomeNets.theta)["weight_hh"][row].flatten()
        jacobian = torch.autograd.functional.jacobian(lambda w, row=row: outputs(w, row), weight)  # (5, 9)
        assert torch.allclose(found[row], 2 * jacobian.mT @ jacobian / 5, rtol=1e-10, atol=1e-13)
