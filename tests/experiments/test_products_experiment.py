"""The judgement of jacobian_products, from numbers made by hand, and the lines that give it its rates."""

import pytest
import torch

from rnnbench.config.rule import load_rule
from rnnbench.experiments.fits import fit_lines
from rnnbench.experiments.jacobian_products import JacobianProducts
from rnnbench.experiments.verdict import conclude

RATES = {0.7: -0.4, 1.1: -0.05, 2.0: 0.12}


def nets(changes=()):
    radii = [radius for radius in RATES for _ in range(20)]
    rates = [RATES[radius] for radius in radii]
    table = {"spectral_radius": radii, "straightness": [1.0] * 60, "curves": []}
    table |= {name: list(rates) for name in ("predicted", "rate", "state_gradient", "weight_gradient")}
    for name, row, value in changes:
        table[name][row] = value
    return table


def control(rate=0.0):
    same = [rate] * 20
    names = ("predicted", "rate", "state_gradient", "weight_gradient")
    return {"spectral_radius": [1.0] * 20, "straightness": [1.0] * 20, "curves": [], **{name: same for name in names}}


@pytest.mark.parametrize(
    ("changes", "control_rate", "verdict"),
    [
        ([], 0.0, "holds"),
        ([("predicted", row, 0.05) for row in range(2)], 0.0, "holds"),
        ([("predicted", row, 0.05) for row in range(8)], 0.0, "not decided"),
        ([("predicted", row, 0.05) for row in range(30)], 0.0, "does not hold"),
        ([("weight_gradient", row, 0.0) for row in range(40)], 0.0, "does not hold"),
        ([("straightness", row, 0.5) for row in range(40)], 0.0, "does not hold"),
        ([], -0.1, "not decided"),
    ],
)
def test_judgement(changes, control_rate, verdict):
    experiment = JacobianProducts(load_rule("jacobian_products"))
    measured = {"nets": nets(changes), "control": control(control_rate)}
    assert conclude(experiment.judge(measured))[0] == verdict


def test_rates_within_the_tolerance_agree():
    experiment = JacobianProducts(load_rule("jacobian_products"))
    rates = [-0.4, -0.4, 0.0, 0.0]
    assert experiment.agree([-0.351, -0.349, 0.0099, 0.011], rates) == [True, False, True, False]


def test_a_line_is_found_in_each_series():
    index = torch.arange(50, dtype=torch.float64)
    noise = torch.sin(7 * index)
    series = torch.stack([3 - 0.5 * index, 0.1 * index + noise, torch.ones(50)], 1)
    lines = fit_lines(series, 5, 45)
    assert lines.slope[0] == pytest.approx(-0.5)
    assert lines.straightness[0] == pytest.approx(1)
    slope, _ = torch.linalg.lstsq(
        torch.stack([index[5:46], torch.ones(41, dtype=torch.float64)], 1), series[5:46, 1:2]
    ).solution
    correlation = torch.corrcoef(torch.stack([index[5:46], series[5:46, 1]]))[0, 1]
    assert lines.slope[1] == pytest.approx(float(slope))
    assert lines.straightness[1] == pytest.approx(float(correlation) ** 2)
    assert lines.slope[2] == lines.straightness[2] == 0
