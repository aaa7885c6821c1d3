"""The verdict of the experiment on LightBench's rows, from made-up records."""

import pytest

from rnnbench.config.rule import load_rule
from rnnbench.experiments.lightbench import LightBench, problem_name

EXPERIMENT = LightBench(load_rule("lightbench"))
OPTIMIZERS = EXPERIMENT.rule.settings["optimizers"]


def measured(solving):
    """Records in which the first so many optimizers solve each length."""
    cost = {"solving": [1], "trials": 10, "best": {"optim.lr": 0.1}, "seconds_per_sequence": 1e-6}
    tunings = {}
    for length, count in solving.items():
        for number, optimizer in enumerate(OPTIMIZERS):
            amounts = [1000.0] * 16 if number < count else [1000.0] * 7 + [None] * 9
            tunings[EXPERIMENT.part_name(optimizer, problem_name(length))] = {**cost, "solved_after": amounts}
    return {"tunings": tunings}


@pytest.mark.parametrize(
    ("solving", "agreeing", "control"),
    [
        ([9, 9, 8, 7, 3, 1], 1.0, "holds"),
        ([9, 9, 8, 5, 5, 4], 5 / 6, "holds"),
        ([0, 0, 0, 0, 9, 9], 0.0, "does not hold"),
    ],
)
def test_the_majority_is_compared_at_every_length(solving, agreeing, control):
    findings = EXPERIMENT.judge(measured(dict(zip(EXPERIMENT.rule.settings["lengths"], solving, strict=True))))
    assert findings[0].measured == pytest.approx(agreeing)
    assert (findings[1].role, findings[1].answer) == ("control", control)
    assert [finding.measured for finding in findings[2:]] == pytest.approx([count / 9 for count in solving])


def test_theirs_are_shares_of_their_optimizers():
    assert EXPERIMENT.theirs == pytest.approx({2: 1.0, 4: 25 / 27, 6: 25 / 27, 9: 21 / 27, 12: 9 / 27, 14: 8 / 27})
