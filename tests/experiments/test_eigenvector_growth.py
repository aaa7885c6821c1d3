"""The judgement of eigenvector_growth, from numbers made by hand."""

import pytest
import torch

from rnnbench.config.rule import load_rule
from rnnbench.experiments.eigenvector_growth import EigenvectorGrowth
from rnnbench.experiments.verdict import conclude


def measured(*, agreement=(1.0,) * 60, error=0.0, hump=0.5):
    def linear(rise):
        return {"error": [error] * 30, "along_singular_vector": [[0.0, rise, -1.0]] * 30}

    tanh = {"agreement": agreement, "error_per_step": [0.02] * len(agreement)}
    return {"linear": {"gaussian": linear(hump), "orthogonal": linear(-0.1)}, "tanh": tanh}


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, "holds"),
        ({"agreement": [1.0] * 60 + [None] * 40}, "holds"),
        ({"agreement": [1.0] * 50 + [0.5] * 10}, "not decided"),
        ({"agreement": [0.5] * 60}, "does not hold"),
        ({"agreement": [None] * 60}, "not decided"),
        ({"error": 0.1}, "does not hold"),
        ({"hump": -0.1}, "not decided"),
    ],
)
def test_judgement(changes, verdict):
    experiment = EigenvectorGrowth(load_rule("eigenvector_growth"))
    assert conclude(experiment.judge(measured(**changes)))[0] == verdict


def test_pushes_of_which_nothing_is_said_do_not_count():
    experiment = EigenvectorGrowth(load_rule("eigenvector_growth"))
    growth = torch.tensor([[2.0, -2.0, 0.1], [1.0, 1.0, 1.0]])
    said = torch.tensor([[1.5, 1.5, -0.1], [0.1, -0.1, 0.2]])
    assert experiment.agreement(growth, said) == [0.5, None]
