"""Benchmarks of Hessian-free on torch modules."""

import json
from functools import partial

import pytest
import torch

from benchmarks import module_products, module_training
from benchmarks.module_products import OURS, autoencoder, products, recurrent
from benchmarks.module_training import OPTIMIZERS, adding_problem
from benchmarks.modules import measure_modules
from benchmarks.options import Options
from benchmarks.peers_optional import is_installed
from rnnbench.bench.case import MismatchError
from rnnbench.bench.timing import Lanes

TINY = {"tiny": lambda: (autoencoder(4, 3, 2), torch.randn(5, 4))}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(module_products, "CASES", TINY)
    monkeypatch.setattr(module_training, "PROBLEMS", {"": partial(adding_problem, 10, 3), "no_such_module": None})
    monkeypatch.setattr("benchmarks.modules.TRAINING_SECONDS", 0.01)


def test_products_and_trainings_are_reported(announcer):
    multiplied, training = measure_modules(Options(group="modules", rounds=2), [1], announcer)
    assert multiplied.data["products"]["tiny"][OURS]["ratio"]["median"] == 1
    found = [name for name, one in OPTIMIZERS.items() if not one.requires or is_installed(one.requires)]
    assert [row[0] for row in training.rows] == found
    for records in json.loads(json.dumps(training.data, allow_nan=False))["trainings"].values():
        assert records[0]["work"] == 0 < records[1]["work"] <= records[-1]["work"]
        assert records[-1]["seconds"] >= 0.01


@pytest.mark.parametrize("kind", [torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU])
def test_every_package_multiplies_recurrent_nets(kind):
    ours, *others = (product() for product in products(recurrent(kind, 3), torch.randn(4, 5, 2)).values())
    for other in others:
        torch.testing.assert_close(other, ours)


def test_what_is_missing_is_said(announcer, monkeypatch):
    monkeypatch.setattr(module_training, "is_installed", lambda module: False)
    with Lanes() as lanes:
        (training,) = module_training.measure_trainings(lanes, 1, 0.01)
    assert [row[0] for row in training.rows] == ["rnnbench.HessianFree", "torch.optim.LBFGS", "torch.optim.Adam"]
    assert "pip install git+https://github.com/ltatzel/PyTorchHessianFree" in training.notes[0]


def test_another_product_ends_the_measurement(announcer, monkeypatch):
    def wrong(module, inputs):
        return {OURS: lambda: torch.ones(3), "wrong": lambda: torch.zeros(3)}

    monkeypatch.setattr(module_products, "products", wrong)
    with pytest.raises(MismatchError, match="wrong and rnnbench give different products of tiny: 1 of the norm"):
        next(measure_modules(Options(group="modules", rounds=1), [1], announcer))
