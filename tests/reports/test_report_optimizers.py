"""What a report says of several optimizers: maps, profiles, tunings, and two sweeps compared."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_runs import write_run

from rnnbench.records.tuning import Tuning, write_tuning
from rnnbench.reports.contents import read_contents
from rnnbench.reports.contest import make_contest
from rnnbench.reports.description import best_lines
from rnnbench.reports.files import write_csv
from rnnbench.reports.further_tables import tables_of
from rnnbench.reports.groups import Group
from rnnbench.reports.optimizer_charts import optimizer_charts
from rnnbench.reports.run_table import run_rows
from rnnbench.reports.statistics import performance_profile


def test_a_profile_computed_by_hand():
    """Costs (1, 2, never) and (2, 1, 4): factors to the best are (1, 2, never) and (2, 1, 1)."""
    profile = performance_profile({"a": [1, 2, math.inf], "b": [2, 1, 4]})
    assert profile == {"a": [(1, 1 / 3), (2, 2 / 3)], "b": [(1, 2 / 3), (2, 1)]}
    nobody = performance_profile({"a": [3, math.inf], "b": [6, math.inf]})
    assert nobody == {"a": [(1, 1 / 2)], "b": [(2, 1 / 2)]}


COSTS = st.lists(
    st.lists(st.one_of(st.floats(1, 1e6), st.just(math.inf)), min_size=4, max_size=4), min_size=1, max_size=4
)


@given(COSTS, st.floats(0.1, 10))
def test_a_profile_grows_does_not_depend_on_the_unit_and_has_a_best_solver(costs, unit):
    named = {str(at): own for at, own in enumerate(costs)}
    profile = performance_profile(named)
    for solver, steps in profile.items():
        factors, shares = zip(*steps, strict=True) if steps else ((), ())
        assert list(factors) == sorted(factors)
        assert list(shares) == sorted(shares)
        assert (shares or (0,))[-1] == sum(map(math.isfinite, named[solver])) / 4
    solved = sum(any(math.isfinite(own[problem]) for own in costs) for problem in range(4))
    assert sum(dict(steps).get(1, 0) for steps in profile.values()) >= solved / 4
    scaled = performance_profile({solver: [unit * cost for cost in own] for solver, own in named.items()})
    ends = {solver: steps[-1][1] if steps else 0 for solver, steps in profile.items()}
    assert {solver: steps[-1][1] if steps else 0 for solver, steps in scaled.items()} == ends


def write_grid(folder, solved_at):
    """Two runs for each (optimizer, length, learning rate) of a table of updates until solved, None: not solved."""
    for number, ((optim, length, lr), at) in enumerate(solved_at.items()):
        for seed in (0, 1):
            write_run(
                folder / f"{number}_{seed}",
                status="budget" if at is None else "solved",
                solved_at=at,
                seed=seed,
                optim__name=optim,
                optim__lr=lr,
                task__sequence_length=length,
            )


GRID = {("nag", 10, 0.1): 20, ("nag", 10, 0.2): 40, ("nag", 20, 0.1): None, ("sgd", 10, 0.1): 80, ("nag", 30, 0.1): 10}


def test_the_map_marks_what_was_not_tried_apart_from_what_failed(tmp_path, painted):
    write_grid(tmp_path, GRID | {("sgd", 30, 0.2): 40})
    chart, by_sequences, _ = optimizer_charts(read_contents([tmp_path], [], None).groups)
    rows = {row[:2]: row[2:] for row in chart.rows}
    assert rows["nag", "T=10"][:2] == ("nag, lr=0.1", 1.0)  # the faster one of two settings that solve it
    assert rows["nag", "T=20"][1:] == (0.0, 0.0, pytest.approx(0.6576, abs=1e-4), 0, 2)
    assert rows["sgd", "T=20"] == ("not tried", None, None, None, None, None)
    texts = [text.get_text() for text in painted[0].texts]
    assert texts.count("0/2") == 1
    assert texts.count("2/2") == 4
    assert len(painted[0].patches) == 1
    # on the two lengths that both have tried, sgd needs four times the sequences of nag
    assert [row for row in by_sequences.rows if row[0] == "sgd"][:2] == [("sgd", 1.0, 0.0), ("sgd", 4.0, 1.0)]
    assert next(row for row in by_sequences.rows if row[0] == "nag") == ("nag", 1.0, 1.0)
    assert "of 2 problems" in by_sequences.caption


def test_one_optimizer_or_one_problem_has_no_map(tmp_path):
    write_grid(tmp_path / "one", {key: at for key, at in GRID.items() if key[0] == "nag"})
    write_grid(tmp_path / "two", {key: at for key, at in GRID.items() if key[1] == 10})
    for name in ("one", "two"):
        assert make_contest(read_contents([tmp_path / name], [], None).groups) is None


def write_tuned(folder, optim, length, solving, **more):
    """A tuning of two trials with two seeds, of which those in `solving` are solved, and three fresh seeds."""
    folder.mkdir(parents=True)
    write_tuning(folder, Tuning([], {"optim.lr": [0.01, 1]}, trials=2, seeds=[0, 1], fresh_seeds=[2, 3, 4]))
    runs = {"search": [(0.1, 0), (0.1, 1), (0.2, 0), (0.2, 1)], "confirmation": [(0.2, 2), (0.2, 3), (0.2, 4)]}
    for sweep, settings in runs.items():
        for number, (lr, seed) in enumerate(settings):
            at = 30 if (lr, seed) in solving else None
            fields = {"seed": seed, "optim__name": optim, "optim__lr": lr, "task__sequence_length": length} | more
            fields["optim__momentum"] = 1 - lr  # which lr determines
            status = "budget" if at is None else "solved"
            write_run(folder / sweep / str(number), status=status, solved_at=at, **fields)
        plan = {"format": 1, "groups": [{"folders": [str(number) for number in range(len(settings))]}]}
        (folder / sweep / "sweep.json").write_text(json.dumps(plan))


SECOND = [(0.2, seed) for seed in (0, 1, 2, 3)]  # the second trial, and two of its three fresh seeds


def test_the_table_of_tunings(tmp_path):
    write_tuned(tmp_path / "nag", "nag", 10, SECOND)
    write_tuned(tmp_path / "adam", "adam", 10, [])
    contents = read_contents([tmp_path], [], None)
    table = tables_of(contents.groups)[-1]
    assert table.title == "Tuning"
    assert table.columns[:2] == ("optim", "best setting")
    setting = "lr=0.2, momentum=0.8"
    nag = ("nag", setting, "2", "1", "2", "2 of 3", "21 .. 94 %")
    assert table.rows == [("adam", setting, "2", "0", "-", "0 of 3", "0 .. 56 %"), nag]
    (line,) = best_lines(Group((), (), tuple(contents.runs)), contents.groups)
    assert line.startswith("Best of 4 settings: nag, lr=0.2, confirmation, 2 of 3 solved")


def test_tunings_of_two_budgets_are_two_problems(tmp_path):
    for budget, solving in {60: [], 600: SECOND}.items():
        for optim in ("nag", "adam"):
            write_tuned(tmp_path / f"{optim}_{budget}", optim, 10, solving, budget__updates=budget)
    groups = read_contents([tmp_path], [], None).groups
    rows = {row[:2]: row[3:] for row in tables_of(groups)[-1].rows}
    assert rows["nag", "60"] == ("2", "0", "-", "0 of 3", "0 .. 56 %")
    assert rows["nag", "600"] == ("2", "1", "2", "2 of 3", "21 .. 94 %")
    assert make_contest(groups).problems == ["updates=60", "updates=600"]


def test_the_best_setting_is_known_whatever_the_groups(tmp_path):
    write_tuned(tmp_path / "nag", "nag", 10, SECOND)
    table = tables_of(read_contents([tmp_path], [], ["trial"]).groups)[-1]
    assert table.rows == [("lr=0.2, momentum=0.8", "2", "1", "2", "2 of 3", "21 .. 94 %")]


def test_a_confirmed_setting_counts_with_its_fresh_seeds(tmp_path):
    for optim, solving in {"nag": SECOND, "adam": [(0.1, 0), (0.1, 1), *SECOND]}.items():
        for length in (10, 20):
            write_tuned(tmp_path / f"{optim}_{length}", optim, length, solving)
    contest = make_contest(read_contents([tmp_path], [], None).groups)
    assert {pair: (group.num_solved, len(group.runs)) for pair, group in contest.best.items()} == {
        (optim, f"T={length}"): (2, 3) for optim in ("nag", "adam") for length in (10, 20)
    }


def test_a_table_of_the_runs_of_tunings_gives_the_same(tmp_path):
    write_tuned(tmp_path / "nag", "nag", 10, SECOND)
    write_tuned(tmp_path / "adam", "adam", 20, [])
    contents = read_contents([tmp_path], [], None)
    write_csv(tmp_path / "runs.csv", *run_rows(contents.runs, contents.columns))
    assert tables_of(read_contents([], [tmp_path / "runs.csv"], None).groups) == tables_of(contents.groups)


def test_two_sweeps_are_compared_setting_by_setting(tmp_path):
    for name, at in (("old", 40), ("new", 10)):
        runs = tmp_path / name
        for number in range(8):
            solved_at = at + number if number % 2 == 0 or name == "new" else None
            status = "budget" if solved_at is None else "solved"
            lr, seed = (0.1, 0.2)[number % 2], number // 2
            write_run(runs / str(number), status=status, solved_at=solved_at, optim__lr=lr, seed=seed)
        plan = {"format": 1, "groups": [{"folders": [str(number) for number in range(8)]}]}
        (runs / "sweep.json").write_text(json.dumps(plan))
    contents = read_contents([tmp_path / "old", tmp_path / "new"], [], None)
    assert len(contents.runs) == 16  # the same runs, once in each sweep
    table = tables_of(contents.groups)[-1]
    assert table.title == "old compared with new"
    assert [row[0] for row in table.rows] == ["0.1", "0.2"]
    assert table.rows[0][1:4] == ("4 of 4", "4 of 4", "+0 %")
    assert table.rows[0][5].startswith("x 3.")
    assert table.rows[1][1:] == ("4 of 4", "0 of 4", "-100 %", "-100 .. -31 %", "-", "-")
    assert len(read_contents([tmp_path], [], None).runs) == 8  # one folder: each run counts once
