"""Reports on several sweeps, and on runs that were resumed with a larger budget."""

import csv
import json

import pytest
from recorded_runs import config, write_run

from rnnbench import cli


@pytest.fixture
def report(tmp_path, monkeypatch, capsys):
    """The heading and the labels of the rows of a report's first table, and its runs.csv."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        assert cli.main(["report", *words, "--out", "page"]) == 0
        lines = capsys.readouterr().out.splitlines()
        start = lines.index("Outcome") + 1
        rows = [line.split() for line in lines[start : lines.index("", start)]]
        with open("page/runs.csv", newline="") as file:
            return (
                rows[0][: rows[0].index("runs")],
                [row[: row.index("95") if "95" in row else None] for row in rows],
                list(csv.DictReader(file)),
            )

    return call


def write_sweep(folder, seeds, budget=100, **fields):
    """A sweep with a plan; runs of even seeds are solved, and keep the budget that they had."""
    for number, seed in enumerate(seeds):
        solved = {"status": "solved", "solved_at": 40, "updates": 60} if seed % 2 == 0 else {"updates": budget}
        write_run(
            folder / str(number),
            seed=seed,
            budget__updates=100 if solved.get("solved_at") else budget,
            **solved,
            **fields,
        )
    group = {"config": config(budget__updates=budget), "folders": [str(number) for number in range(len(seeds))]}
    (folder / "sweep.json").write_text(json.dumps({"groups": [group]}))


def test_two_sweeps_have_a_column_for_the_sweep(report, tmp_path):
    write_sweep(tmp_path / "runs/one", range(0, 4))
    write_sweep(tmp_path / "runs/two", range(4, 8))
    columns, rows, runs = report("runs/one", "runs/two")
    assert columns == ["sweep"]
    assert [row[0] for row in rows[1:3]] == ["one", "two"]
    assert [run["sweep"] for run in runs] == ["one"] * 4 + ["two"] * 4
    assert report("runs")[0] == []  # a folder that holds them: their runs are pooled
    assert report("runs", "by=sweep")[0] == ["sweep"]
    assert report("page/runs.csv", "by=sweep")[0] == ["sweep"]


def test_what_tells_two_sweeps_apart_is_enough(report, tmp_path):
    write_sweep(tmp_path / "one", range(0, 4), optim__lr=0.1)
    write_sweep(tmp_path / "two", range(0, 4), optim__lr=0.2)
    assert report("one", "two")[0] == ["lr"]


def test_one_sweep_has_no_column_for_it(report, tmp_path):
    write_sweep(tmp_path / "one", range(0, 4))
    columns, _, runs = report("one")
    assert columns == []
    assert "sweep" not in runs[0]


def test_a_larger_budget_splits_no_group_of_a_sweep(report, tmp_path):
    write_sweep(tmp_path / "all", range(0, 4), budget=200)
    assert report("all")[0] == []
    write_sweep(tmp_path / "one", range(0, 4))
    write_run(tmp_path / "one/again", seed=9, budget__updates=200)  # of the four jobs, this one alone was resumed
    plan = json.loads((tmp_path / "one/sweep.json").read_text())
    plan["groups"][0]["folders"].append("again")
    (tmp_path / "one/sweep.json").write_text(json.dumps(plan))
    columns, _, runs = report("one")
    assert columns == []
    assert {run["budget.updates"] for run in runs} == {"100", "200"}  # what each of them had


@pytest.mark.parametrize(("solved_at", "columns"), [(40, []), (None, ["updates"])])
def test_a_budget_splits_single_runs_if_it_ended_them(report, tmp_path, solved_at, columns):
    write_run(tmp_path / "runs/0", seed=0, status="solved" if solved_at else "budget", solved_at=solved_at)
    write_run(tmp_path / "runs/1", seed=1, budget__updates=200)
    assert report("runs")[0] == columns
