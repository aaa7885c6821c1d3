import csv
import io
import math
import re

import pytest
from recorded_runs import read, write_run, write_sweep

from rnnbench.reports.files import write_csv
from rnnbench.reports.groups import best_first, make_groups
from rnnbench.reports.tables import cost_table, group_rows, outcome_table, parts, print_table


def test_groups_are_in_the_order_of_their_values(tmp_path):
    for number, lr in enumerate([0.1, 0.02, 1e-5, 0.1]):
        write_run(tmp_path / str(number), optim__lr=lr)
    write_run(tmp_path / "hf", optim={"name": "hf"})
    groups = make_groups(read(tmp_path), ["optim.lr"])
    assert [group.values[0] for group in groups] == [1e-5, 0.02, 0.1, "-"]
    assert [len(group.runs) for group in groups] == [1, 1, 2, 1]
    assert make_groups(read(tmp_path), [])[0].label == "all runs"


def table_rows(table):
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def test_tables(tmp_path):
    for number, solved_at in enumerate([20, 30, 40, None]):
        status = "solved" if solved_at else "budget"
        write_run(tmp_path / f"a{number}", status=status, solved_at=solved_at, optim__lr=0.1)
    write_run(tmp_path / "b0", status="diverged", optim__lr=0.5)
    write_run(tmp_path / "b1", status="running", optim__lr=0.5)
    groups = make_groups(read(tmp_path), ["optim.lr"])
    assert table_rows(outcome_table(groups)) == [
        {
            "lr": "0.1",
            "runs": "4",
            "solved": "3",
            "share": "75.0 %",
            "95 % interval": "30 .. 95 %",
            "diverged": "0",
            "unfinished": "0",
            "loss": "0.2 (0.167)",
            "error rate": "50.0 % (90.0 %)",
        },
        {
            "lr": "0.5",
            "runs": "2",
            "solved": "0",
            "share": "0.0 %",
            "95 % interval": "0 .. 66 %",
            "diverged": "1",
            "unfinished": "1",
            "loss": "0.2 (0.167)",
            "error rate": "50.0 % (90.0 %)",
        },
    ]
    assert "A loss of inf" not in outcome_table(groups).note
    write_run(tmp_path / "c", status="diverged", optim__lr=1.0)
    with_lost = outcome_table(make_groups(read(tmp_path), ["optim.lr"]))
    assert table_rows(with_lost)[-1]["loss"] == "inf (0.167)"
    assert "A loss of inf: most runs diverged." in with_lost.note
    assert table_rows(cost_table(groups)) == [
        {"lr": "0.1", "updates": "30 (20 .. 40)", "sequences": "300 (200 .. 400)", "seconds": "15 s (10 s .. 20 s)"},
        {"lr": "0.5", "updates": "not reached", "sequences": "not reached", "seconds": "not reached"},
    ]


@pytest.mark.parametrize(
    ("solved", "cell"),
    [([1, 2, 3, 4], "2 (1 .. 3)"), ([1, 2, 0, 0], "2 (1 .. not reached)"), ([1, 0, 0, 0], "not reached (1 ..)")],
)
def test_quartiles_that_are_not_reached(solved, cell, tmp_path):
    for number, at in enumerate(solved):
        write_run(tmp_path / str(number), solved_at=at or None)
    assert cost_table(make_groups(read(tmp_path), [])).rows[0][1] == cell


def test_numbers_of_groups(tmp_path):
    write_sweep(tmp_path)
    runs = read(tmp_path)
    columns, rows = group_rows(make_groups(runs, ["optim.name"]))
    first = dict(zip(columns, rows[0], strict=True))
    assert (first["optim.name"], first["runs"], first["solved"], first["share_solved"]) == ("nag", 8, 5, 0.625)
    assert (first["updates_quantile_25"], first["updates_quantile_50"], first["updates_quantile_75"]) == (40, 50, None)


def test_the_best_group_comes_first(tmp_path):
    cases = [("few", None, 0.1), ("slow", 90, 0.1), ("fast", 20, 0.1), ("lost", None, math.inf)]
    for name, solved_at, loss in cases:
        write_run(tmp_path / name, solved_at=solved_at, name=name, evaluations=[(0, loss, 1.0)])
    groups = make_groups(read(tmp_path), ["name"])
    assert [group.values[0] for group in best_first(groups)] == ["fast", "slow", "few", "lost"]


def test_a_better_group_is_better_by_more_than_chance(tmp_path):
    for lr, num_solved in ((0.1, 5), (0.2, 4), (0.3, 0)):
        for number in range(16):
            write_run(tmp_path / f"{lr}/{number}", optim__lr=lr, solved_at=20 if number < num_solved else None)
    first, second, third = make_groups(read(tmp_path), ["optim.lr"])
    assert first.interval[0] < third.interval[1]  # they overlap, and still
    assert first.is_better_than(third)
    assert not first.is_better_than(second)
    assert not third.is_better_than(first)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_tables_are_plain_in_a_file_and_in_parts_on_a_narrow_terminal(tmp_path, monkeypatch):
    write_sweep(tmp_path)
    table = outcome_table(make_groups(read(tmp_path), ["optim.name", "optim.lr"]))
    stream = io.StringIO()
    print_table(table, stream)
    assert "\x1b" not in stream.getvalue()
    lines = stream.getvalue().splitlines()
    assert lines[1] == "Outcome"
    assert re.split(" {2,}", lines[2].strip()) == list(table.columns)
    assert lines[3].split()[:4] == ["nag", "0.001", "4", "1"]
    assert parts(table, 1000) == [list(range(len(table.columns)))]
    narrow = parts(table, 50)
    assert len(narrow) > 1
    assert all(part[:2] == [0, 1] for part in narrow)
    assert [column for part in narrow for column in part[2:]] == list(range(2, len(table.columns)))
    monkeypatch.setenv("COLUMNS", "50")
    stream = Terminal()
    print_table(table, stream)
    text = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert max(map(len, text.splitlines())) <= 50
    assert "…" not in text
    assert text.count("nag     0.001") == len(narrow)


def test_csv_cells_hold_what_was_measured(tmp_path):
    write_csv(tmp_path / "x.csv", ("a,b", "c"), [("x, y", 0.1), (None, 1 / 3)])
    with open(tmp_path / "x.csv", newline="") as handle:
        assert list(csv.reader(handle)) == [["a,b", "c"], ["x, y", "0.1"], ["", repr(1 / 3)]]
