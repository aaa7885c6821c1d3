"""The judgement of optimizers against the sequence length, and its maps, from records made by hand."""

from types import SimpleNamespace

import pytest

from rnnbench.config.rule import load_rule
from rnnbench.experiments.optimizers_against_length import OptimizersAgainstLength, best_value, part_name
from rnnbench.experiments.verdict import conclude

EXPERIMENT = OptimizersAgainstLength(load_rule("optimizers_against_length"))


def record(microseconds, **solved):
    """The first of 100 seeds are solved, after 1000, 2000, ... sequences: `T20=5` of them at T = 20."""
    cells = [
        {
            "length": int(length.removeprefix("T")),
            "solved_after": [1000 * (seed + 1) if seed < count else None for seed in range(100)],
            "seconds_per_sequence": 1e-6 * microseconds if count else None,
        }
        for length, count in solved.items()
    ]
    return {"key": "optim.lr", "value": 0.1, "cells": cells}


def records(sgd, hf, nag):
    settings = EXPERIMENT.rule.settings
    found = {part_name(task, each): record(1, T20=0) for task in settings["tasks"] for each in settings["optimizers"]}
    for task in settings["tasks"]:
        found |= {part_name(task, "sgd"): sgd, part_name(task, "hf"): hf, part_name(task, "nag"): nag}
    return found


@pytest.mark.parametrize(
    ("sgd", "hf", "nag", "verdict"),
    [
        (record(1, T20=80, T50=5), record(1, T20=100, T50=90), record(1, T20=90), "holds"),
        (record(1, T20=0), record(1, T20=100, T50=90), record(1, T20=90), "holds"),  # 50 was not run
        (record(1, T20=80, T50=70), record(1, T20=100, T50=90), record(1, T20=90), "does not hold"),
        (record(1, T20=80, T50=5), record(1, T20=100, T50=10), record(1, T20=90), "does not hold"),
        (record(1, T20=80, T50=5), record(1, T20=100, T50=55), record(1, T20=90), "not decided"),
        (record(1, T20=80, T50=5), record(1, T20=100, T50=90), record(1, T20=10), "not decided"),
    ],
)
def test_judgement(sgd, hf, nag, verdict):
    assert conclude(EXPERIMENT.judge(records(sgd, hf, nag)))[0] == verdict


def test_equal_seconds_are_those_of_the_cheapest_method():
    """nag takes 0.2 s for 200,000 sequences of 20 steps, in which hf has 50,000: 50 of its seeds are solved by then."""
    found = EXPERIMENT.map_of(records(record(1, T20=0), record(4, T20=100, T50=90), record(1, T20=90)))
    assert found.seconds("adding", 20) == pytest.approx(0.2)
    assert found.counts("adding", "hf", 20) == (100, 100)
    assert found.counts("adding", "hf", 20, found.seconds("adding", 20)) == (50, 100)
    assert found.counts("adding", "nag", 20, found.seconds("adding", 20)) == (90, 100)
    assert found.counts("adding", "sgd", 20, found.seconds("adding", 20)) == (0, 100)
    assert found.counts("adding", "hf", 50, found.seconds("adding", 50)) == (90, 100)
    assert found.seconds("adding", 100) is None


def test_what_was_not_run_has_its_reason():
    found = EXPERIMENT.map_of({"adding_by_hf": record(1, T50=90, T100=0)})
    assert [found.reason("adding", "hf", length) for length in (20, 200)] == ["not run", "none shorter"]
    assert found.reason("adding", "sgd", 20) == "not run"
    assert EXPERIMENT.map_of({"adding_by_hf": record(1, T50=90)}).reason("adding", "hf", 100) == "not run"
    assert (found.longest("adding", "hf"), found.longest("adding", "sgd")) == (50, None)


def test_the_pilot_runs_choose_by_solved_runs_then_cost_then_error_rate():
    def run(lr, solved_after=None, error_rate=0.5, status="budget"):
        at = None if solved_after is None else SimpleNamespace(sequences=solved_after)
        return SimpleNamespace(
            config={"optim": {"lr": lr}}, solved=at is not None, solved_at=at, error_rate=error_rate, status=status
        )

    unsolved = [run(0.1, error_rate=0.4), run(0.2, error_rate=0.3), run(0.3, error_rate=0.1, status="diverged")]
    assert best_value(unsolved, "optim.lr") == 0.2
    once = [run(0.1, 900), run(0.1), run(0.2, error_rate=0.1), run(0.2, error_rate=0.1)]
    assert best_value(once, "optim.lr") == 0.1
    assert best_value([run(0.1, 900), run(0.2, 800)], "optim.lr") == 0.2
