"""The judgement of the experiments on papers, from outcomes made by hand, and the moments of curse_of_memory."""

import pytest
import torch

from rnnbench.config.rule import load_rule, rule_names
from rnnbench.experiments.bengio_1994 import PROBLEMS, Bengio1994
from rnnbench.experiments.chain_init import INITS, ChainAgainstOrthogonal
from rnnbench.experiments.curse_of_memory import CurseOfMemory, closed_forms, second_moments
from rnnbench.experiments.engelken_2023 import TASKS, Engelken2023
from rnnbench.experiments.hochreiter_1997 import Hochreiter1997
from rnnbench.experiments.information_flow import InformationFlow
from rnnbench.experiments.le_2015 import Le2015
from rnnbench.experiments.martens_sutskever_2011 import MartensSutskever2011
from rnnbench.experiments.pascanu_2013 import INITS as OF_PASCANU
from rnnbench.experiments.pascanu_2013 import Pascanu2013
from rnnbench.experiments.sutskever_2013 import COMPARED, Sutskever2013
from rnnbench.experiments.sutskever_2013 import PROBLEMS as OF_TABLE_5
from rnnbench.experiments.verdict import conclude


def runs(solved, count=100, *, lr=0.1, sequences=1000, **values):
    """`solved` of the runs at a learning rate, and none at another."""
    return [
        {"lr": rate, "solved": rate == lr and at < solved, "sequences": sequences, **values}
        for rate in (lr, 2 * lr)
        for at in range(count)
    ]


@pytest.mark.parametrize(
    ("short", "long", "verdict"),
    [
        (100, 0, "holds"),
        (100, 60, "does not hold"),
        (100, 18, "not decided"),  # about a fifth is left
        (60, 0, "not decided"),  # the shortest sequences are not learned either
    ],
)
def test_bengio_1994(short, long, verdict):
    measured = {problem: [*runs(100, length=5), *runs(0, length=80)] for problem in PROBLEMS}
    measured["parity"] = [*runs(short, length=4), *runs(50, length=8), *runs(long, length=16)]
    assert conclude(Bengio1994(load_rule("bengio_1994")).judge(measured))[0] == verdict


@pytest.mark.parametrize(
    ("solved", "sequences", "rnn", "verdict"),
    [
        (100, 70_000, 0, "holds"),
        (100, 80_000, 0, "does not hold"),  # too late
        (20, 70_000, 0, "does not hold"),
        (50, 70_000, 0, "not decided"),
        (100, 70_000, 100, "not decided"),  # the simple net does it too
    ],
)
def test_hochreiter_1997(solved, sequences, rnn, verdict):
    measured = {
        "adding_lstm": [*runs(0, lr=0.03), *runs(solved, sequences=sequences)],
        "adding_rnn": runs(rnn),
        "two_sequence_lstm": runs(100),
        "two_sequence_rnn": runs(100),
    }
    assert conclude(Hochreiter1997(load_rule("hochreiter_1997")).judge(measured))[0] == verdict


@pytest.mark.parametrize(
    ("irnn", "lstm", "tanh", "easy", "verdict"),
    [
        (90, 90, 10, 100, "holds"),
        (30, 90, 10, 100, "does not hold"),  # the LSTM solves far more
        (90, 90, 90, 100, "does not hold"),  # tanh does too
        (90, 90, 10, 10, "not decided"),  # short sequences are not learned either
        (60, 90, 10, 100, "not decided"),
    ],
)
def test_le_2015(irnn, lstm, tanh, easy, verdict):
    rule = load_rule("le_2015")
    long, short = rule.settings["sequence_length"], rule.settings["control_length"]
    counts = {"irnn": (irnn, easy), "lstm": (lstm, 100), "tanh": (tanh, easy)}
    measured = {net: [*runs(at, length=long), *runs(at_short, length=short)] for net, (at, at_short) in counts.items()}
    assert conclude(Le2015(rule).judge(measured))[0] == verdict


@pytest.mark.parametrize(
    ("plain", "during", "easy", "verdict"),
    [
        (20, 80, 100, "holds"),
        (50, 50, 100, "does not hold"),
        (50, 62, 100, "not decided"),
        (20, 80, 20, "not decided"),  # nor are the shortest delays learned without flossing
    ],
)
def test_engelken_2023(plain, during, easy, verdict):
    measured = {
        f"{task}_{way}": [*runs(short, delay=1), *runs(long, delay=10), *runs(long, delay=20)]
        for task in TASKS
        for way, short, long in (("none", easy, plain), ("before", 100, plain), ("during", 100, during))
    }
    assert conclude(Engelken2023(load_rule("engelken_2023")).judge(measured))[0] == verdict


@pytest.mark.parametrize(
    ("chain", "orthogonal", "easy", "verdict"),
    [
        (90, 10, 100, "holds"),
        (50, 50, 100, "does not hold"),
        (60, 25, 100, "not decided"),
        (90, 10, 10, "not decided"),  # short sequences are not learned either
    ],
)
def test_chain_init(chain, orthogonal, easy, verdict):
    rule = load_rule("chain_init")
    long, short = rule.settings["sequence_length"], rule.settings["control_length"]
    solved = dict.fromkeys(INITS, (chain, easy)) | {"orthogonal": (orthogonal, easy)}
    measured = {
        init: [*runs(at, length=long), *runs(at_short, length=short)] for init, (at, at_short) in solved.items()
    }
    assert conclude(ChainAgainstOrthogonal(rule).judge(measured))[0] == verdict


@pytest.mark.parametrize(
    ("both", "hf", "plain", "poor", "control", "verdict"),
    [
        (90, 90, 10, 10, 100, "holds"),
        (90, 90, 90, 10, 100, "does not hold"),  # momentum is not needed
        (90, 90, 10, 90, 100, "does not hold"),  # nor the careful initialization
        (40, 90, 10, 10, 100, "does not hold"),  # Hessian-free solves more
        (70, 90, 10, 10, 100, "not decided"),
        (90, 90, 10, 10, 10, "not decided"),  # the control needs momentum too
    ],
)
def test_sutskever_2013(both, hf, plain, poor, control, verdict):
    rule = load_rule("sutskever_2013")
    careful, other = rule.settings["careful_radius"], rule.settings["poor_radius"]
    easy = {"radius": careful, "momentum": 0.98}, {"radius": other, "momentum": 0.98}
    measured = {
        "control_nesterov": [run for values in easy for run in runs(100, **values)],
        "control_plain": [*runs(control, radius=careful), *runs(100, radius=other)],
    }
    for problem in OF_TABLE_5:
        solved = 90 if problem == "adding" else both  # one problem refutes the claim
        measured[f"{problem}_hf"] = runs(hf, radius=careful)
        measured[f"{problem}_plain"] = runs(plain, radius=careful)
        measured[f"{problem}_classical"] = runs(50, radius=careful, momentum=0.98)
        measured[f"{problem}_nesterov"] = [
            *runs(solved, radius=careful, momentum=0.995),
            *runs(0, radius=careful, momentum=0.98),
            *runs(poor, radius=other, momentum=0.98),
        ]
        if problem in COMPARED:
            measured[f"{problem}_small_inputs"] = runs(0, radius=careful, momentum=0.995)
            measured[f"{problem}_not_centered"] = runs(0, radius=careful, momentum=0.995)
    assert conclude(Sutskever2013(rule).judge(measured))[0] == verdict


@pytest.mark.parametrize(
    ("clipped", "penalty", "easy", "verdict"),
    [
        (0, 90, 100, "holds"),
        (60, 95, 100, "does not hold"),  # clipping alone is enough
        (0, 10, 100, "does not hold"),  # the penalty does not help
        (0, 90, 10, "not decided"),  # it helps where nothing vanishes
        (0, 35, 100, "not decided"),
    ],
)
def test_pascanu_2013(clipped, penalty, easy, verdict):
    rule = load_rule("pascanu_2013")
    long, short = rule.settings["sequence_length"], rule.settings["control_length"]
    measured = {}
    for init in OF_PASCANU:
        measured[f"{init}_sgd"] = [
            *(run for clip in (None, 1.0) for run in runs(clipped, length=long, clip=clip)),
            *(run for clip in (None, 1.0) for run in runs(easy, length=short, clip=clip)),
        ]
        measured[f"{init}_penalty"] = [*runs(penalty, length=long, clip=1.0), *runs(100, length=short, clip=1.0)]
        measured[f"{init}_penalty_longer"] = {"error_rates": {"80": [0.0, 0.2]}}
    assert conclude(Pascanu2013(rule).judge(measured))[0] == verdict


@pytest.mark.parametrize(
    ("kept", "of_orthogonal", "solved", "easy", "verdict"),
    [
        (5.0, 0.5, 90, 100, "holds"),
        (1.0, 0.5, 90, 100, "does not hold"),  # e times as large is not ten times
        (5.0, 0.5, 10, 100, "does not hold"),  # kept, and of no use
        (5.0, 5.0, 90, 100, "not decided"),
        (5.0, 0.5, 90, 0, "not decided"),
    ],
)
def test_information_flow(kept, of_orthogonal, solved, easy, verdict):
    rule = load_rule("information_flow")

    def gradients(increase):
        lags = range(rule.settings["lag"] + 1)
        series = [[-0.3 * lag for lag in lags], [-0.3 * lag + increase for lag in lags]]
        return {"weight": [0.0, 4.0] * 30, "logarithms": series * 30, "solved": [False] * 60}

    counts = {"long": (0, solved), "short": (easy, 100)}
    measured = {"brief": gradients(kept), "orthogonal": gradients(of_orthogonal)} | {
        sweep: [{"weight": w, "solved": at < n} for w, n in zip((0.0, 4.0), own, strict=True) for at in range(100)]
        for sweep, own in counts.items()
    }
    assert conclude(InformationFlow(rule).judge(measured))[0] == verdict


@pytest.mark.parametrize(
    ("solved", "first_order", "verdict"),
    [(90, 0, "holds"), (30, 0, "does not hold"), (55, 0, "not decided"), (90, 50, "not decided")],
)
def test_martens_sutskever_2011(solved, first_order, verdict):
    measured = {
        "runs": [
            {"problem": "adding", "length": length, "solved": at < count}
            for length, count in ((30, 100), (100, solved))
            for at in range(100)
        ],
        "control": [*runs(first_order, optimizer="nag")[:100], *runs(50, optimizer="hf")],
    }
    assert conclude(MartensSutskever2011(load_rule("martens_sutskever_2011")).judge(measured))[0] == verdict


@pytest.mark.parametrize(
    ("slopes", "verdict"),
    [
        ((1, 3, 2, 0), "holds"),
        ((1, 2.5, 2, 0), "does not hold"),
        ((1, 3, 3, 0), "does not hold"),
        ((1, 3, 2, 1), "not decided"),
    ],
)
def test_curse_of_memory(slopes, verdict):
    memories = [10.0, 100.0, 1000.0]
    names = ("state", "sensitivity", "normalized", "reparametrized")
    moments = {name: [[m**slope for m in memories]] * 8 for name, slope in zip(names, slopes, strict=True)}
    experiment = CurseOfMemory(load_rule("curse_of_memory"))
    assert conclude(experiment.judge({"memories": memories, "moments": moments}))[0] == verdict


def test_moments_of_linear_units_are_those_of_autograd_and_of_the_closed_forms():
    weights, steps, count = torch.tensor([0.5, 0.8], dtype=torch.float64), 40, 2000
    moments = second_moments(weights, steps, count, seed=3)
    generator = torch.Generator().manual_seed(3)
    each = weights.unsqueeze(1).repeat(1, count).requires_grad_()  # a weight of its own for each sequence
    state = torch.zeros(2, count, dtype=torch.float64)
    for _ in range(steps):
        state = each * state + torch.randn(state.shape, generator=generator, dtype=torch.float64)
    (derivative,) = torch.autograd.grad(state.sum(), each)
    assert torch.allclose(moments["state"], state.detach().square().mean(1), rtol=1e-12)
    assert torch.allclose(moments["sensitivity"], derivative.square().mean(1), rtol=1e-12)
    nu = (-weights.log()).log().requires_grad_()
    (slope,) = torch.autograd.grad(torch.exp(-torch.exp(nu)).sum(), nu)
    assert torch.allclose(moments["reparametrized"], moments["normalized"] * slope.square(), rtol=1e-12)
    for name, expected in closed_forms(1 / (1 - weights.square())).items():
        assert torch.allclose(moments[name], expected, rtol=0.2)


def test_every_experiment_has_a_source_and_a_quick_form():
    for name in rule_names():
        rule = load_rule(name)
        assert rule.source[0] == rule.source[0].upper() or rule.source.startswith("section 10")
        assert load_rule(name, quick=True).settings != rule.settings
