"""The judgement of small_batch_second_order, from outcomes made by hand."""

from xml.etree import ElementTree

import pytest

from rnnbench.config.rule import load_rule
from rnnbench.experiments.small_batch_second_order import SETTINGS, SmallBatchSecondOrder
from rnnbench.experiments.verdict import conclude
from rnnbench.reports.drawing import draw_figure

LENGTHS = (8, 32, 80)


def runs(num_solved, *, count=16):
    """Runs of two settings at each length; the second solves the given numbers of runs, the first one fewer."""
    return [
        {
            "length": length,
            "setting": setting,
            "solved": at < number - (setting == 0.1),
            "sequences": 1000 * length + at if at < number - (setting == 0.1) else None,
            "seconds": 0.5 * length if at < number - (setting == 0.1) else None,
        }
        for length, number in zip(LENGTHS, num_solved, strict=True)
        for setting in (0.1, 0.3)
        for at in range(count)
    ]


def experiment(*, full):
    return SmallBatchSecondOrder(load_rule("small_batch_second_order", full=full))


@pytest.mark.parametrize(
    ("psgd", "hf", "first_order", "full", "verdict"),
    [
        ((16, 16, 16), (16, 2, 0), (16, 0, 0), False, "holds"),
        ((16, 16, 2), (16, 0, 0), (16, 0, 0), False, "not decided"),  # the budget is shorter than published
        ((16, 16, 2), (16, 0, 0), (16, 0, 0), True, "does not hold"),
        ((16, 0, 0), (16, 16, 16), (16, 0, 0), False, "does not hold"),  # large batches solve more
        ((16, 16, 16), (16, 0, 0), (8, 0, 0), False, "not decided"),  # the control fails
    ],
)
def test_judgement(psgd, hf, first_order, full, verdict):
    measured = {"psgd": runs(psgd), "hf": runs(hf), "adam": runs(first_order), "nag": runs((0, 0, 0))}
    assert conclude(experiment(full=full).judge(measured))[0] == verdict


def test_the_best_setting_counts_and_costs_are_shown_where_half_are_solved():
    measured = dict.fromkeys(SETTINGS, runs((16, 8, 2)))
    findings = {finding.what: finding.measured for finding in experiment(full=False).judge(measured)}
    assert findings["share of runs that are solved: psgd, 32 steps, lr 0.3"] == 0.5
    assert findings["median sequences: psgd, 8 steps, lr 0.3"] == pytest.approx(8007.5)
    assert findings["median seconds: psgd, 8 steps, lr 0.3"] == 4
    assert not any("median" in what and "80" in what for what in findings)


def test_it_is_drawn_where_nothing_is_solved():
    measured = dict.fromkeys(SETTINGS, runs((0, 0, 0)))
    draw = experiment(full=False).draw
    ElementTree.fromstring(draw_figure(lambda figure: draw(figure, measured), width=8, height=4))
