"""The judgement of init_and_momentum, from outcomes made by hand."""

import pytest

from rnnbench.config.rule import load_rule
from rnnbench.experiments.init_and_momentum import CELLS, OTHERS, TASKS, InitAndMomentum
from rnnbench.experiments.shares import best_rate, by_rate
from rnnbench.experiments.verdict import conclude

COUNT = 24
EXPERIMENT = InitAndMomentum(load_rule("init_and_momentum"))


def outcomes(solved, hf, control):
    """Of all sweeps: `solved` of the runs of each cell at the larger of two learning rates, none at the other."""
    counts = dict(zip(CELLS, solved, strict=True))
    table = {}
    for prefix in (*TASKS, "control"):
        of_prefix = (
            dict(zip(CELLS, control, strict=True)) if prefix == "control" else {**counts, **dict.fromkeys(OTHERS, hf)}
        )
        for (method, radius), count in of_prefix.items():
            table.setdefault(f"{prefix}_{method}", []).extend(
                {"task": task, "radius": EXPERIMENT.rule.settings[radius], "lr": lr, "solved": lr > 0.1 and at < count}
                for task in (TASKS if prefix == "control" else [prefix])
                for lr in (0.1, 0.3)
                for at in range(COUNT)
            )
    return table


@pytest.mark.parametrize(
    ("solved", "hf", "control", "verdict"),
    [
        ((24, 0, 0, 0), 24, (24, 24, 24, 24), "holds"),
        ((24, 0, 0, 0), 24, (24, 24, 24, 0), "not decided"),  # the control has the effect too
        ((24, 22, 0, 0), 24, (24, 24, 24, 24), "does not hold"),  # momentum is not needed
        ((24, 0, 22, 0), 24, (24, 24, 24, 24), "does not hold"),  # the careful initialization is not needed
        ((10, 0, 0, 0), 24, (24, 24, 24, 24), "does not hold"),  # it does not do what Hessian-free does
        ((24, 14, 0, 0), 24, (24, 24, 24, 24), "not decided"),
    ],
)
def test_judgement(solved, hf, control, verdict):
    assert conclude(EXPERIMENT.judge(outcomes(solved, hf, control)))[0] == verdict


def test_one_task_alone_can_refute_it():
    measured = outcomes((24, 0, 0, 0), 24, (24, 24, 24, 24))
    for run in measured["temporal_order_plain"]:
        run["solved"] = run["radius"] == EXPERIMENT.rule.settings["careful_radius"]
    verdict, decisive = conclude(EXPERIMENT.judge(measured))
    assert verdict == "does not hold"
    assert decisive.what == "temporal order: share solved: (careful init + momentum) minus no momentum"


def test_the_control_is_judged_by_its_worst_cell():
    *_, control, _ = [
        one for one in EXPERIMENT.judge(outcomes((24, 0, 0, 0), 24, (24, 20, 3, 9))) if one.role != "context"
    ]
    assert control.what.endswith("(careful init + momentum) minus the worst of the four")
    assert control.measured == pytest.approx(21 / 24)


def test_the_best_rate_has_most_runs_solved():
    pairs = [(0.1, True), (0.1, False), (0.3, True), (0.3, True), (0.03, False)]
    table = [{"lr": lr, "solved": solved} for lr, solved in pairs]
    assert by_rate(table) == ([0.03, 0.1, 0.3], [0.0, 0.5, 1.0])
    assert best_rate(table) == (2, 2)
