"""The judgement of clipping, from outcomes made by hand, and the cliff of one unit."""

import pytest
import torch

from rnnbench.config.rule import load_rule
from rnnbench.experiments import cliff
from rnnbench.experiments.clipping import Clipping
from rnnbench.experiments.verdict import conclude

CLIFF = {"largest_gradient": 1000.0, "median_gradient": 1.0, "thrown": [True, False]}


def runs(solved, clip_norm, *, diverged=0, count=40):
    """Of three learning rates; `solved` of the runs at the middle one."""
    table = []
    for lr in (0.01, 0.03, 0.1):
        for at in range(count):
            broken = at >= count - diverged
            row = {"lr": lr, "clip_norm": clip_norm, "solved": lr == 0.03 and at < solved, "diverged": broken}
            table.append({**row, "lost": broken})
    return table


@pytest.mark.parametrize(
    ("without", "norm", "value", "easy", "diverged", "verdict"),
    [
        (0, 36, 36, 40, 0, "holds"),
        (36, 36, 36, 40, 0, "does not hold"),  # clipping gains nothing
        (0, 36, 10, 40, 0, "does not hold"),  # the kinds differ
        (0, 36, 36, 40, 10, "does not hold"),  # runs with clipping end as NaN
        (22, 36, 36, 40, 0, "not decided"),
        (0, 36, 36, 0, 0, "not decided"),  # clipping helps in the control too
    ],
)
def test_judgement(without, norm, value, easy, diverged, verdict):
    measured = {
        "cliff": CLIFF,
        "norm": [*runs(without, None), *runs(norm, 1.0, diverged=diverged)],
        "value": runs(value, None, diverged=diverged),
        "control": [*runs(easy, None), *runs(40, 1.0)],
    }
    assert conclude(Clipping(load_rule("clipping")).judge(measured))[0] == verdict


def test_the_gradient_of_the_cliff_is_that_of_differences():
    points = torch.tensor([[1.3, -0.05], [1.8, 0.1]], dtype=torch.float64)
    _, gradient = cliff.loss_and_gradient(points, 20)
    for axis in range(2):
        step = torch.zeros(2, dtype=torch.float64)
        step[axis] = 1e-6
        above, below = (cliff.loss_and_gradient(points + sign * step, 20)[0] for sign in (1, -1))
        assert torch.allclose(gradient[:, axis], (above - below) / 2e-6, rtol=1e-5, atol=1e-9)


def test_the_cliff_lies_where_the_first_state_is_the_unstable_one():
    """atanh(h_0) = w h_0 + b: above it the unit goes up, below it goes down."""
    weight = 1.6
    edge = float(torch.atanh(torch.tensor(cliff.INITIAL_STATE, dtype=torch.float64))) - weight * cliff.INITIAL_STATE
    above, below = cliff.loss_and_gradient(torch.tensor([[weight, edge + 0.01], [weight, edge - 0.01]]), 200)[0]
    assert above < 0.1
    assert below > 1


def test_a_clipped_descent_takes_short_steps():
    starts = cliff.window(6).flatten(0, 1)
    clipped = cliff.descend(starts, 50, 30, 0.1, 0.5)
    assert float(clipped.longest.amax()) <= 0.05 + 1e-12
    assert float(cliff.descend(starts, 50, 30, 0.1, None).longest.amax()) > cliff.JUMP
