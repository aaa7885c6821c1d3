"""The judgement of latch_noise, from numbers made by hand, and the noise that is withstood."""

import pytest
import torch

from rnnbench.config.rule import load_rule
from rnnbench.experiments.latch_noise import LatchNoise
from rnnbench.experiments.verdict import conclude

COUNT = 60


def nets(sign=-1.0, rate=-1.0):
    """The steeper the gradient, the more noise is withstood, for sign -1; the reverse for 1."""
    order = [at / COUNT for at in range(COUNT)]
    return {
        "noise": [0.0] * COUNT,
        "spectral_radius": [1.1] * COUNT,
        "solved": [True] * COUNT,
        "stored": [True] * COUNT,
        "state_radius": [0.5 + sign * 0.4 * at for at in order],
        "weight_radius": [1 + at for at in order],
        "withstood": order,
        "rate": [rate + sign * 0.5 * at for at in order],
    }


@pytest.mark.parametrize(
    ("one_unit", "ten_units", "control_rate", "verdict"),
    [
        (nets(), nets(), 0.0, "holds"),
        (nets(), nets(sign=1.0), 0.0, "does not hold"),
        (nets(rate=0.7), nets(), 0.0, "does not hold"),  # as robust, and nothing vanishes
        (nets(), nets(), -0.5, "not decided"),
        ({name: values[:4] for name, values in nets().items()}, nets(), 0.0, "not decided"),
    ],
)
def test_judgement(one_unit, ten_units, control_rate, verdict):
    measured = {"one_unit": one_unit, "ten_units": ten_units, "control": {"rate": [control_rate] * 24}}
    assert conclude(LatchNoise(load_rule("latch_noise")).judge(measured))[0] == verdict


def test_nets_that_do_not_store_say_nothing():
    half = nets()
    half["stored"] = [at % 2 == 0 for at in range(COUNT)]
    half["rate"] = [rate if stored else 9.0 for rate, stored in zip(half["rate"], half["stored"], strict=True)]
    measured = {"one_unit": half, "ten_units": nets(), "control": {"rate": [0.0] * 24}}
    assert conclude(LatchNoise(load_rule("latch_noise")).judge(measured))[0] == "holds"


@pytest.mark.parametrize(
    ("shares", "withstood"),
    [([1.0, 1.0, 0.9], 0.075), ([1.0, 1.0, 1.0], 0.1), ([0.5, 1.0, 1.0], 0.0), ([0.95, 0.9, 1.0], 0.02)],
)
def test_the_noise_that_is_withstood(shares, withstood):
    experiment = LatchNoise(load_rule("latch_noise", changes={"noises": [0.02, 0.05, 0.1]}))
    assert float(experiment.withstood(torch.tensor([shares], dtype=torch.float64).T)) == pytest.approx(withstood)
