"""Nesterov's method in the form of Sutskever et al. (2013): its recursion, its schedule, its twin in torch's form."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from rnnbench.optim.nag import Nag

LR = torch.tensor([[0.1], [0.02]], dtype=torch.float64)
MOMENTUM = torch.tensor([[0.9], [0.99]], dtype=torch.float64)
INITIAL_MOMENTUM = torch.tensor([[0.3], [0.5]], dtype=torch.float64)
NEVER = torch.full((2, 1), float("inf"), dtype=torch.float64)
START = torch.tensor([[1.0, -2.0, 3.0], [2.0, 0.5, -1.0]], dtype=torch.float64)


def gradient_at(theta):
    """Of sum(theta^4 / 4 + cos theta)."""
    return theta**3 - theta.sin()


@dataclass(frozen=True)
class Objective:
    """Keeps the points where its gradient was taken."""

    points: list[Tensor]

    def loss_and_gradient(self, theta, *, with_flow=False):
        self.points.append(theta)
        return SimpleNamespace(gradient=gradient_at(theta), flow=None)


def nag(form, updates, *, weight_decay=0.0, clip_value=NEVER):
    return Nag(
        batch_size=1,
        lr=LR,
        weight_decay=torch.full((2, 1), weight_decay, dtype=torch.float64),
        clip_norm=NEVER,
        clip_value=clip_value,
        information_flow=0 * MOMENTUM,
        form=form,
        momentum=MOMENTUM,
        initial_momentum=INITIAL_MOMENTUM,
        initial_momentum_updates=updates,
    )


def run(optimizer, num_updates):
    """Theta before each update, and the point where each gradient was taken."""
    theta, state = START, optimizer.initial_state(START)
    path = []
    objective = Objective([])
    for update in range(num_updates):
        path.append(theta)
        result = optimizer.update(theta, state, update, lambda stream, batch_size: objective)
        theta, state = result.theta, result.state
    return path, objective.points


@pytest.mark.parametrize("switch", [0, 1, 7, 100])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_sutskever13_is_the_papers_recursion_and_switches_at_exactly_that_update(switch, weight_decay):
    path, points = run(nag("sutskever13", switch, weight_decay=weight_decay), 20)
    for replica in range(2):
        theta, velocity = START[replica].clone(), torch.zeros(3, dtype=torch.float64)
        for update in range(20):
            momentum = (INITIAL_MOMENTUM if update < switch else MOMENTUM)[replica].item()
            torch.testing.assert_close(path[update][replica], theta, rtol=1e-12, atol=1e-12)
            ahead = theta + momentum * velocity
            torch.testing.assert_close(points[update][replica], ahead, rtol=1e-12, atol=1e-12)
            # The penalty weight_decay |theta|^2 / 2 belongs to the function whose gradient is taken ahead.
            velocity = momentum * velocity - LR[replica].item() * (gradient_at(ahead) + weight_decay * ahead)
            theta = theta + velocity


@pytest.mark.parametrize("form", ["sutskever13", "torch"])
def test_the_schedule_shows_from_the_update_that_it_names(form):
    # The velocity is zero before update 0, so that the momentum acts on update 1 at the earliest in sutskever13.
    early, late = (run(nag(form, switch), 12)[0] for switch in (6, 7))
    assert torch.equal(torch.stack(early[:7]), torch.stack(late[:7]))  # theta before updates 0..6
    assert not torch.equal(early[7], late[7])


@pytest.mark.parametrize("switch", [0, 1000])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("clip_value", [NEVER, torch.full((2, 1), 0.5, dtype=torch.float64)])
def test_torchs_theta_is_the_look_ahead_point_of_sutskever13(switch, weight_decay, clip_value):
    _, ahead = run(nag("sutskever13", switch, weight_decay=weight_decay, clip_value=clip_value), 50)
    path, points = run(nag("torch", switch, weight_decay=weight_decay, clip_value=clip_value), 50)
    torch.testing.assert_close(torch.stack(path), torch.stack(ahead), rtol=0, atol=1e-11)
    assert torch.equal(torch.stack(path), torch.stack(points))


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="form must be sutskever13 or torch, got 'nesterov'"):
        nag("nesterov", 0)
