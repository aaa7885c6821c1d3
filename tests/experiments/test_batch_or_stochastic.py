"""The judgement of batch_or_stochastic, from costs made by hand."""

from xml.etree import ElementTree

import pytest

from rnnbench.config.rule import load_rule
from rnnbench.experiments.batch_or_stochastic import BatchOrStochastic
from rnnbench.experiments.verdict import conclude
from rnnbench.reports.drawing import draw_figure

SIZES = (16, 64, 256)
FALLING, LEVEL, RISING = (90, 30, 20), (20, 20, 20), (20, 40, 90)  # thousands of sequences


def runs(costs, *, rates=(0.0,), unsolved=0, count=12):
    """Of each size and learning rate; the first `unsolved` ones of the smallest size are not solved.

    All learning rates but the last one cost twice as much.
    """
    table = []
    for batch, cost in zip(SIZES, costs, strict=True):
        for lr in rates:
            for at in range(count):
                solved = not (batch == SIZES[0] and at < unsolved)
                spent = (cost * 1000 + at) * (1 if lr == rates[-1] else 2)
                table.append({"batch": batch, "lr": lr, "solved": solved, "cost": spent if solved else None})
    return table


@pytest.mark.parametrize(
    ("hf", "unsolved", "nag", "verdict"),
    [
        (FALLING, 0, RISING, "holds"),
        (LEVEL, 12, RISING, "holds"),  # small batches solve nothing at all
        (LEVEL, 0, RISING, "does not hold"),  # Hessian-free needs no large batches
        (LEVEL, 6, RISING, "not decided"),
        (FALLING, 0, FALLING, "not decided"),  # the first-order method needs them too
    ],
)
def test_judgement(hf, unsolved, nag, verdict):
    measured = {"hf": runs(hf, unsolved=unsolved), "nag": runs(nag, rates=(0.001, 0.01))}
    findings = BatchOrStochastic(load_rule("batch_or_stochastic")).judge(measured)
    assert conclude(findings)[0] == verdict


def test_the_ratio_is_that_of_the_costs_at_the_best_learning_rate():
    measured = {"hf": runs(FALLING), "nag": runs(RISING, rates=(0.001, 0.01))}
    hf, nag, *_ = BatchOrStochastic(load_rule("batch_or_stochastic")).judge(measured)
    assert "batches of 16 / cost with batches of 256" in hf.what
    assert "batches of 16 / cost with batches of 64" in nag.what
    assert hf.measured == pytest.approx(90 / 20, rel=1e-2)
    assert nag.measured == pytest.approx(20 / 40, rel=1e-2)


def test_what_is_not_solved_counts_with_its_budget():
    measured = {"hf": runs(LEVEL, unsolved=12), "nag": runs(RISING)}
    rule = load_rule("batch_or_stochastic")
    needs, *_ = BatchOrStochastic(rule).judge(measured)
    assert needs.measured == pytest.approx(rule.settings["sequences"] / 20_000, rel=1e-3)


def test_where_nothing_is_solved_it_is_drawn_and_nothing_is_decided():
    measured = {"hf": runs(LEVEL), "nag": runs(LEVEL)}
    for run in measured["hf"]:
        run |= {"solved": False, "cost": None}
    experiment = BatchOrStochastic(load_rule("batch_or_stochastic"))
    verdict, decisive = conclude(experiment.judge(measured))
    assert (verdict, decisive.role) == ("not decided", "claim")
    ElementTree.fromstring(draw_figure(lambda figure: experiment.draw(figure, measured), width=6, height=4))
