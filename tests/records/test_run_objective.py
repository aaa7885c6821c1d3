import dataclasses
import math

import pytest

from rnnbench.records.objective import objective_of
from rnnbench.records.summary import STATUSES, SolvedAt, Summary, write_summary

BUDGET = Summary(status="budget", loss=0.125, error_rate=0.25, updates=400)
SOLVED = dataclasses.replace(BUDGET, status="solved", solved=True, solved_at=SolvedAt(120, 1, 1.0), error_rate=0.004)


def found(folder, summary, objective):
    config = {"objective": objective, "budget": {"updates": 1000}}
    write_summary(folder, dataclasses.replace(summary, config=config))
    return objective_of(folder)


@pytest.mark.parametrize(
    ("summary", "objective", "expected"),
    [
        (SOLVED, "updates_to_solve", 120.0),
        (BUDGET, "updates_to_solve", 1250.0),
        (dataclasses.replace(BUDGET, status="interrupted"), "updates_to_solve", 1250.0),
        (dataclasses.replace(SOLVED, status="budget"), "updates_to_solve", 120.0),
        (BUDGET, "loss", 0.125),
        (SOLVED, "loss", 0.125),
        (BUDGET, "error_rate", 0.25),
        (SOLVED, "error_rate", 0.004),
    ],
)
def test_what_is_minimised(tmp_path, summary, objective, expected):
    value = found(tmp_path, summary, objective)
    assert isinstance(value, float)
    assert value == expected


@pytest.mark.parametrize("objective", ["updates_to_solve", "loss", "error_rate"])
@pytest.mark.parametrize(
    "changes",
    [
        {"status": "diverged"},
        {"status": "failed"},
        {"loss": math.nan},
        {"loss": math.inf},
        {"loss": None, "error_rate": None},
        {"status": "running", "loss": None, "error_rate": None},
    ],
)
def test_nothing_that_could_be_minimised(tmp_path, objective, changes):
    assert found(tmp_path, dataclasses.replace(BUDGET, **changes), objective) == math.inf


def test_a_run_that_is_not_there(tmp_path):
    assert objective_of(tmp_path / "none") == math.inf
    (tmp_path / "summary.json").write_text("{")
    assert objective_of(tmp_path) == math.inf


def test_every_run_that_is_solved_is_better_than_one_that_is_not(tmp_path):
    last = dataclasses.replace(SOLVED, solved_at=SolvedAt(1000, 1, 1.0))
    unsolved = [
        dataclasses.replace(BUDGET, status=status, error_rate=rate) for status in STATUSES for rate in (0.0, 0.5, 1.0)
    ]
    values = [found(tmp_path, summary, "updates_to_solve") for summary in unsolved]
    assert found(tmp_path, last, "updates_to_solve") <= min(values)
