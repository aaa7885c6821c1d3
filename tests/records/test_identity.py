"""Which configurations are of one and the same run."""

from dataclasses import dataclass, field

import pytest

from rnnbench.records.identity import run_identity


def config(**changes):
    return {
        "name": "a",
        "seed": 0,
        "optim": {"lr": 1.0, "betas": [0.9, 0.5], "clip": None, "nesterov": True},
        **changes,
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "b"},
        {"objective": "loss"},
        {"optim": {"nesterov": True, "clip": None, "betas": [0.9, 0.5], "lr": 1, "cadence": {"updates": 3}}},
    ],
)
def test_the_same_run(changes):
    assert run_identity(config(**changes)) == run_identity(config())
    assert hash(run_identity(config(**changes))) == hash(run_identity(config()))


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"seed": False},
        {"device": "cpu"},
        {"optim": {"lr": 1.0, "betas": [0.5, 0.9], "clip": None, "nesterov": True}},
        {"optim": {"lr": 1.0, "betas": [0.9, 0.5], "clip": 0.0, "nesterov": True}},
        {"optim": {"lr": True, "betas": [0.9, 0.5], "clip": None, "nesterov": True}},
        {"optim": {"name": "b", "lr": 1.0, "betas": [0.9, 0.5], "clip": None, "nesterov": True}},
    ],
)
def test_another_run(changes):
    assert run_identity(config(**changes)) != run_identity(config())


def test_a_dataclass_and_what_is_recorded_of_it():
    @dataclass
    class Part:
        lr: float = 1.0

    @dataclass
    class Whole:
        optim: Part = field(default_factory=Part)
        seed: int = 0

    assert run_identity(Whole()) == run_identity({"seed": 0, "optim": {"lr": 1.0}})
