import json
from dataclasses import replace

import pytest
import torch

from benchmarks import training
from benchmarks.options import Options
from benchmarks.training import OURS, PEER, measure_training
from rnnbench.bench.case import MismatchError
from rnnbench.bench.options import Shape

SHAPE = Shape(2, 3, 4, 5)


def test_both_ways_in_one_table(announcer, monkeypatch):
    monkeypatch.setattr(training, "BURST_SECONDS", 0.0)  # one call in a round
    (report,) = measure_training(Options(shapes=(SHAPE,), rounds=3), [1, 2], announcer)
    data = json.loads(json.dumps(report.data, allow_nan=False))
    names = [f"{way.name}, {threads}" for way in (OURS, PEER) for threads in ("1 thread", "2 threads")]
    assert list(data["rounds"]) == names
    assert all(len(times) == 3 for times in data["rounds"].values())
    medians = {name: data["statistics"][name]["median"] for name in names}
    best = [min(value for name, value in medians.items() if name.startswith(way.name)) for way in (OURS, PEER)]
    assert data["speed_up"] == pytest.approx(best[1] / best[0])


def test_a_peer_that_trains_otherwise_ends_the_measurement(announcer, monkeypatch):
    def half_as_fast(case, threads):
        made = training.torch_training(case)
        return replace(made, rows=lambda nets: (made.rows(nets) + case.theta) / 2)

    monkeypatch.setattr(training, "PEER", replace(PEER, make=half_as_fast))
    with pytest.raises(
        MismatchError, match=r"torch\.nn\.RNN and torch\.optim, seed after seed and rnnbench give different results"
    ):
        list(measure_training(Options(shapes=(SHAPE,), rounds=1), [1], announcer))


def test_both_change_the_parameters(announcer):
    case = training.make_case(SHAPE)
    for way in (OURS, PEER):
        computation = way.make(case, 1)
        first = computation.rows(computation.run()).clone()
        second = computation.rows(computation.run()).clone()
        computation.close()
        assert not torch.equal(first, case.theta)
        assert not torch.equal(first, second)
