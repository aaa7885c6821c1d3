import json
import math

import numpy as np
from recorded_runs import read, write_run

from rnnbench.records.metrics_csv import read_metrics
from rnnbench.reports.finding import find_run_folders
from rnnbench.reports.groups import make_groups
from rnnbench.reports.runs import MAX_POINTS, curve_of, read_runs


def test_evaluations_alone_make_the_curve(tmp_path):
    folder = write_run(tmp_path / "run", evaluations=[(0, 1.0, 1.0), (5, math.nan, 0.75), (9, math.inf, 0.5)])
    curve = curve_of(read_metrics(folder))
    assert curve.x["updates"].tolist() == [0, 5, 9]
    assert curve.x["sequences"].tolist() == [0, 50, 90]
    assert curve.x["seconds"].tolist() == [0, 2.5, 4.5]
    assert curve.loss.tolist() == [1, math.inf, math.inf]
    assert curve.error_rate.tolist() == [1, 0.75, 0.5]


def test_long_curves_are_thinned_to_their_ends(tmp_path):
    folder = write_run(tmp_path / "run", evaluations=[(update, 1 / (1 + update), 1.0) for update in range(0, 5000, 2)])
    curve = curve_of(read_metrics(folder))
    updates = curve.x["updates"]
    assert len(updates) == MAX_POINTS
    assert (updates[0], updates[-1]) == (0, 4998)
    assert np.all(np.abs(np.diff(updates) - 12.5) < 2)
    assert np.array_equal(curve.loss, 1 / (1 + updates))


def test_outcomes(tmp_path):
    cases = {
        "solved": {"status": "solved", "solved_at": 40},
        "went on": {"status": "diverged", "solved_at": 40},
        "budget": {"status": "budget"},
        "diverged": {"status": "diverged"},
        "failed": {"status": "failed"},
        "running": {"status": "running"},
        "interrupted": {"status": "interrupted"},
    }
    for name, case in cases.items():
        write_run(tmp_path / name, **case)
    runs = {run.folder.name: run for run in read(tmp_path)}
    assert {name: run.outcome for name, run in runs.items()} == {
        "solved": "solved",
        "went on": "solved",
        "budget": "not solved",
        "diverged": "diverged",
        "failed": "failed",
        "running": "unfinished",
        "interrupted": "unfinished",
    }
    assert [runs[name].time("sequences") for name in ("solved", "budget", "diverged")] == [400, 1000, math.inf]
    assert (runs["diverged"].last_loss, runs["budget"].last_loss) == (math.inf, 0.2)


def test_a_run_that_has_just_begun(tmp_path):
    write_run(tmp_path / "run", status="running", evaluations=[], updates=0)
    (run,) = read(tmp_path)
    assert run.curve.loss.size == 0
    assert make_groups([run], [])[0].loss is None


def test_a_run_under_way_is_as_far_as_its_last_evaluation(tmp_path):
    old = {"updates": 0, "sequences": 0, "seconds": 0.0, "loss": 1.0, "error_rate": 1.0}
    rows = [(0, 1.0, 1.0), (40, 0.3, 0.25)]
    write_run(tmp_path / "goes on", status="running", evaluations=rows, summary=old)
    write_run(tmp_path / "nan", status="running", evaluations=[*rows, (50, math.nan, 1.0)], summary=old)
    write_run(tmp_path / "knows more", status="running", evaluations=rows, updates=60, summary={"loss": 0.1})
    write_run(tmp_path / "ended", status="interrupted", evaluations=rows, updates=30, summary={"loss": 0.1})
    runs = {run.folder.name: run.summary for run in read(tmp_path)}
    first = runs["goes on"]
    assert (first.updates, first.sequences, first.seconds, first.loss, first.error_rate) == (40, 400, 20.0, 0.3, 0.25)
    assert (runs["nan"].updates, runs["nan"].loss) == (50, None)
    assert [(runs[name].updates, runs[name].loss) for name in ("knows more", "ended")] == [(60, 0.1), (30, 0.1)]
    (at,) = {run.time("sequences") for run in read(tmp_path) if run.folder.name == "goes on"}
    assert at == 400


def edit(folder, **values):
    path = folder / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_damaged_folders_are_listed(tmp_path):
    for name in ("good", "0", "1", "2", "3", "4", "5", "6", "7", "8"):
        write_run(tmp_path / name)
    (tmp_path / "0/summary.json").unlink()
    (tmp_path / "1/summary.json").write_text('{"status": "bud')
    edit(tmp_path / "2", loss="low")
    edit(tmp_path / "3", config=None)
    edit(tmp_path / "4", solved=True)
    edit(tmp_path / "5", updates=math.nan)
    (tmp_path / "6/metrics.csv").unlink()
    (tmp_path / "7/metrics.csv").write_text("update,loss/eval\n0,1.0\n1,2.0,3.0\n")
    (tmp_path / "8/metrics.csv").write_text("update,loss/eval\n0,1.0\n")
    problems = []
    runs = list(read_runs(find_run_folders([tmp_path]).runs, problems))
    assert [run.folder.name for run in runs] == ["6", "7", "8", "good"]
    assert [run.curve is None for run in runs] == [True, True, True, False]
    assert [(problem.folder.name, problem.effect) for problem in problems] == [
        *((name, "not counted") for name in "012345"),
        *((name, "without curves") for name in "678"),
    ]
    parts = [
        "no such file",
        "summary.json: ",
        "loss",
        "config",
        "solved_at is missing",
        "updates",
        "no such",
        "line 3",
        "no column",
    ]
    for problem, part in zip(problems, parts, strict=True):
        assert part in problem.message
        assert str(tmp_path) not in problem.message


def test_half_a_last_line_is_no_damage(tmp_path):
    folder = write_run(tmp_path / "run", status="running")
    with open(folder / "metrics.csv", "a") as handle:
        handle.write("101,0.5,0.")
    (run,) = read(tmp_path)
    assert run.curve.x["updates"].tolist() == [0, 100]
