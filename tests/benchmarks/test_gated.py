import json
from dataclasses import replace

import pytest
import torch

from benchmarks import gated
from benchmarks.options import Options
from rnnbench.bench.case import MismatchError, make_case
from rnnbench.bench.options import Shape
from rnnbench.bench.peers_gated import torch_gated

SHAPE = Shape(2, 3, 4, 5)


def test_every_way_for_both_nets(announcer, monkeypatch):
    monkeypatch.setattr("rnnbench.bench.timing.BURST_SECONDS", 0.0)  # one call in a round
    reports = list(gated.measure_gated(Options(shapes=(SHAPE,), rounds=3), [1, 2], announcer))
    assert [report.data["net"] for report in reports] == ["lstm", "gru"]
    for report in reports:
        data = json.loads(json.dumps(report.data, allow_nan=False))
        names = [
            f"{way.name}, {threads}"
            for ways in (gated.GRADIENTS, gated.PRODUCTS)
            for threads in ("1 thread", "2 threads")
            for way in ways
        ]
        assert list(data["rounds"]) == names == [row[0] for row in report.rows]
        best = min((name for name in names if name.startswith(gated.PEER.name)), key=lambda name: median(data, name))
        assert data["ratios"][best]["median"] == 1
        for name in names:
            both = zip(data["rounds"][name], data["rounds"][best], strict=True)
            assert data["ratios"][name]["median"] == pytest.approx(sorted(ours / theirs for ours, theirs in both)[1])


def median(data, name):
    return sorted(data["rounds"][name])[1]


@pytest.mark.parametrize("net", gated.NETS)
def test_the_peer_computes_the_gradient(net):
    case = make_case(SHAPE, net)
    case = replace(case, theta=case.theta.double(), batch=_double(case.batch))
    made = torch_gated(case)
    theta = case.theta.clone().requires_grad_()
    p = case.model.parameters(theta)
    state = case.model.initial_state(p, SHAPE.sequences)
    for inputs in case.batch.inputs:
        state = case.model.step(p, state, inputs)
    losses = (case.model.readout(p, state[0]) - case.targets).square().sum(-1).mean(-1)
    (expected,) = torch.autograd.grad(losses.sum(), theta)
    assert torch.allclose(made.rows(made.run()), expected, rtol=1e-10, atol=1e-14)


def _double(batch):
    return replace(batch, inputs=batch.inputs.double(), targets=batch.targets.double())


def test_a_way_that_computes_otherwise_ends_the_measurement(announcer, monkeypatch):
    def wrong(case, threads):
        made = torch_gated(case)
        return replace(made, rows=lambda found: 1.1 * made.rows(found))

    monkeypatch.setattr(gated, "GRADIENTS", (*gated.GRADIENTS[:-1], replace(gated.PEER, make=wrong)))
    with pytest.raises(MismatchError, match=r"torch\.nn, replicas in turn and rnnbench give different results"):
        list(gated.measure_gated(Options(shapes=(SHAPE,), rounds=1), [1], announcer))
