import csv

import numpy as np
import pytest
from recorded_runs import read, write_run, write_sweep

from rnnbench.cli import main
from rnnbench.records.errors import RecordError
from rnnbench.reports.files import write_csv
from rnnbench.reports.groups import make_groups
from rnnbench.reports.run_table import read_table, run_rows
from rnnbench.reports.tables import cost_table, outcome_table

VERSIONS = {"python": "3.11.7", "torch": "2.13.0+cpu"}
ENDED = {"device": "cpu", "threads": 2, "git": "abc123", "message": "two\nlines, and a comma", "versions": VERSIONS}


def written(runs, path):
    write_csv(path, *run_rows(runs, ["optim.lr"]))
    return path


def test_a_report_of_the_table_is_that_of_the_folders(tmp_path):
    write_sweep(tmp_path / "runs")
    runs = read(tmp_path / "runs")
    again = read_table(written(runs, tmp_path / "runs.csv"))
    for names in (["optim.name", "optim.lr"], ["task.sequence_length"], []):
        first, second = make_groups(runs, names), make_groups(again, names)
        assert [outcome_table(first), cost_table(first)] == [outcome_table(second), cost_table(second)]


def test_all_of_a_run_but_its_curve_comes_back(tmp_path):
    folder = write_run(tmp_path / "run", solved_at=40, status="solved", summary=ENDED, optim__betas=[0.9, 1e-17])
    (folder / "metrics.csv").write_text(
        "update,loss/eval,error_rate/eval,cost/sequences,cost/products,time/seconds\n0,1,1,0,0,0\n40,0.1,0,400,77,20\n"
    )
    (run,) = read(tmp_path)
    (again,) = read_table(written([run], tmp_path / "runs.csv"))
    assert run.products_when_solved == again.products_when_solved == 77
    assert again.fields == run.fields
    assert (again.folder, again.outcome, again.curve) == (run.folder, run.outcome, None)
    for name in vars(run.summary):
        if name != "config":
            assert getattr(again.summary, name) == getattr(run.summary, name), name


def test_the_table_begins_with_what_was_asked_for(tmp_path):
    write_sweep(tmp_path)
    columns, rows = run_rows(read(tmp_path), ["optim.lr", "seed"])
    assert columns[:4] == ("folder", "optim.lr", "seed", "task.name")
    by_folder = {row[0].rpartition("/")[2]: dict(zip(columns, row, strict=True)) for row in rows}
    assert len(by_folder) == 16
    diverged = by_folder["15"]
    assert (diverged["optim.lr"], diverged["seed"], diverged["outcome"]) == ("0.1", "1", "diverged")
    assert (diverged["solved_at_updates"], by_folder["1"]["solved_at_updates"]) == (None, 50)


def test_the_command_takes_the_table_of_an_earlier_report(tmp_path, monkeypatch, capsys, painted):
    monkeypatch.chdir(tmp_path)
    write_sweep(tmp_path / "lr")
    assert main(["report", "lr"]) == 0
    first = capsys.readouterr().out
    (tmp_path / "kept.csv").write_bytes((tmp_path / "lr/report/runs.csv").read_bytes())
    assert main(["report", "kept.csv"]) == 0
    assert capsys.readouterr().out == first.replace("lr/report", "kept/report")
    kept = (tmp_path / "kept/report/runs.csv").read_text()
    assert kept == (tmp_path / "kept.csv").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: [row[1:] for row in rows], "no column folder"),
        (lambda rows: [*rows[:2], rows[2][:-1]], "line 3: more or fewer cells"),
        (lambda rows: [[cell.replace("budget", "lost") for cell in row] for row in rows], "got 'lost'"),
        (lambda rows: [[cell.replace("1000", "many") for cell in row] for row in rows], "sequences must be a number"),
        (lambda rows: [[cell.replace("1000", "nan") for cell in row] for row in rows], "must be a finite number"),
        (lambda rows: [["\0"]], "no column folder"),
    ],
)
def test_a_damaged_table_is_one_line(tmp_path, capsys, change, message):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", seed=1)
    path = written(read(tmp_path), tmp_path / "runs.csv")
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(change(rows))
    with pytest.raises(RecordError, match=r"runs\.csv"):
        read_table(path)
    assert main(["report", str(path)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_infinities_and_missing_fields_come_back(tmp_path):
    write_run(tmp_path / "a", optim__clip=None, task__flag=True)
    write_run(tmp_path / "b", seed=1, optim__lr=np.inf)
    runs = read(tmp_path)
    assert [run.fields for run in read_table(written(runs, tmp_path / "runs.csv"))] == [run.fields for run in runs]
