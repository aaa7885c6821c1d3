"""Runs, sweeps and reports as objects, read from folders alone."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from api_runs import SGD
from matplotlib.figure import Figure

import rnnbench
from rnnbench.reports.statistics import wilson_interval

TABLE = Path(__file__).parents[2] / "results/adding_hf.csv"


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A sweep over two settings and three seeds."""
    folder = tmp_path_factory.mktemp("sweep") / "sweep"
    words = ("seed=range(0,3)", "optim.lr=0.01,0.1", f"hydra.sweep.dir={folder}")
    return rnnbench.sweep(*SGD, *words, quiet=True)


def test_a_run(sweep):
    run = rnnbench.load(sweep.runs[3].folder)
    assert (run.config.optim.lr, run.config["seed"], run.config.task.name) == (0.1, 1, "adding")
    assert set(run.config) <= set(dir(run.config))
    with pytest.raises(AttributeError, match=r"there is no key lr_; did you mean lr\?"):
        run.config.optim.lr_  # noqa: B018
    assert run.metrics["update"].tolist() == [0, 2, 3, 4, 6]
    frame = run.frame()
    assert frame["loss/eval"].iloc[-1] == run.summary.loss
    assert {name: tuple(weight.shape) for name, weight in run.weights.items()}["weight_hh"] == (5, 5)
    assert len(run.theta) == sum(weight.numel() for weight in run.weights.values())
    assert repr(run).startswith("<Run adding_sgd: budget, update 6, error rate ")
    assert "constant predictor" in str(run)
    assert "<pre>adding_sgd: not solved" in run._repr_html_()


def test_a_sweep_in_the_order_of_its_jobs(sweep):
    loaded = rnnbench.load(sweep.folder)
    assert [run.folder.name for run in loaded.runs] == [str(number) for number in range(6)]
    assert loaded.exit_status is None
    table = loaded.table().frame()
    assert table[["optim.lr", "seed"]].to_numpy().tolist() == [[lr, seed] for seed in range(3) for lr in (0.01, 0.1)]
    assert repr(loaded).startswith("<Sweep of 6 runs: 6 budget, ")
    assert str(loaded) == str(sweep)
    assert "6 runs" in str(rnnbench.load(sweep.folder.parent))  # a folder with a sweep in it


def test_shares_have_the_interval_of_the_report(sweep, tmp_path):
    summary = sweep.folder / "1/summary.json"
    before = summary.read_text()
    at = {"update": 3, "sequences": 30, "seconds": 1.0}
    summary.write_text(json.dumps(json.loads(before) | {"status": "solved", "solved": True, "solved_at": at}))
    try:
        (one, other) = sweep.success()
        assert (one["optim.lr"], one["solved"], other["solved"], other["runs"]) == (0.01, 0, 1, 3)
        assert (other["low_95"], other["high_95"]) == wilson_interval(1, 3)
        assert [group["runs"] for group in sweep.success(by="")] == [6]
        assert [group["seed"] for group in sweep.success(by=["seed", "optim"])] == [0, 1, 2]
    finally:
        summary.write_text(before)


def test_a_report_is_that_of_the_command(sweep, capsys, tmp_path):
    from rnnbench.cli import main

    assert main(["report", str(sweep.folder), "--out", str(tmp_path / "page")]) == 0
    printed = capsys.readouterr().out
    report = rnnbench.report(*sweep.runs)
    assert printed.startswith(f"{report}\n\npage: ")
    drawn = {path.stem for path in (tmp_path / "page/figures").glob("*.svg")}
    assert report.figures.keys() == drawn
    assert all(isinstance(figure, Figure) for figure in report.figures.values())
    assert report.figures["loss_against_updates"]._repr_png_().startswith(b"\x89PNG")
    assert repr(report) == "<Report on 6 runs in 2 groups>"
    assert report.groups[0]["optim.lr"] == 0.01
    assert "<th>optim.lr</th>" in report.groups._repr_html_()
    assert rnnbench.report(TABLE).groups[0]["runs"] == 10


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda folder: rnnbench.load(folder / "nothing"), "there is no folder .*nothing"),
        (lambda folder: rnnbench.load(folder), "there is no run in "),
        (lambda folder: rnnbench.report(), "needs a run or a sweep"),
        (lambda folder: rnnbench.report(folder), "there is no run in "),
        (lambda folder: rnnbench.report(TABLE, by="seeed"), r"seeed.*did you mean"),
        (lambda folder: rnnbench.report(TABLE, by=["seed", "seed"]), "names seed twice"),
        (lambda folder: rnnbench.resume(folder), "holds neither checkpoint.pt nor sweep.json"),
        (lambda folder: rnnbench.load(None), "^folder must be the path of a folder, got None"),
        (lambda folder: rnnbench.load(b"runs"), "^folder must be the path of a folder"),
        (lambda folder: rnnbench.load(""), "^folder: .*empty name"),
        (lambda folder: rnnbench.load("a" * 5000), r"^folder: there is no folder a+\.\.\.: File name too long"),
        (lambda folder: rnnbench.load("~nobody_of_this_name/run"), "^folder: there is no folder"),
        (lambda folder: rnnbench.load("a\0b"), "^folder: there is no folder"),
        (lambda folder: rnnbench.load(__file__), r"test_loading\.py is a file, not a folder$"),
        (lambda folder: rnnbench.Run(3), "^folder must be"),
        (lambda folder: rnnbench.Sweep(3), "^folder must be"),
        (lambda folder: rnnbench.report(3), "^sources must be the path of a folder, got 3"),
        (lambda folder: rnnbench.report(""), "^sources: .*empty name"),
        (lambda folder: rnnbench.report(TABLE, by=3), "^by must be a string, or several, got 3"),
        (lambda folder: rnnbench.report(TABLE, by=["seed", 3]), "^by must be"),
        (lambda folder: rnnbench.resume(3), "^folder must be the path of a folder, got 3"),
        (lambda folder: rnnbench.resume(""), "^folder: .*empty name"),
        (lambda folder: rnnbench.resume(folder, 3), "^overrides must be strings"),
        (lambda folder: rnnbench.resume(folder, config_dir=3), "^config_dir must be"),
        (lambda folder: rnnbench.resume(folder, config_dir=[folder, 3]), "^config_dir must be"),
        (lambda folder: rnnbench.resume(folder, trust=3), "^trust must be"),
        (lambda folder: rnnbench.resume(folder, accept_gap="no"), "^accept_gap must be True or False, got 'no'"),
        (lambda folder: rnnbench.resume(folder, quiet=1), "^quiet must be True or False, got 1"),
    ],
)
def test_bad_input(read, message, tmp_path):
    with pytest.raises(rnnbench.ConfigError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("read", [rnnbench.load, rnnbench.resume, rnnbench.report])
@pytest.mark.parametrize("name", ["checkpoint.pt", ".hydra/config.yaml"])
def test_a_file_of_a_run_names_its_folder(read, name, sweep):
    run = sweep.runs[0].folder
    with pytest.raises(rnnbench.ConfigError, match=rf"{run / name} is a file, not a folder; did you mean {run}\?"):
        read(run / name)


def test_a_metrics_csv_of_another_form(sweep, tmp_path):
    shutil.copytree(sweep.runs[0].folder, tmp_path / "run")
    (tmp_path / "run/metrics.csv").write_text("foo,bar\n1,2\n")
    for read in (lambda run: run.metrics, lambda run: run.frame()):
        with pytest.raises(rnnbench.RecordError, match=r"metrics\.csv: line 1 must be the names of the columns"):
            read(rnnbench.load(tmp_path / "run"))


def test_damaged_and_unfinished_folders(tmp_path):
    for name, summary in (("running", '{"status": "running"}'), ("damaged", "{")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(summary)
    loaded = rnnbench.load(tmp_path)
    assert [run.status for run in loaded.runs] == ["running"]
    assert list(loaded.problems) == [tmp_path / "damaged"]
    with pytest.raises(rnnbench.RecordError, match=r"has no checkpoint yet"):
        loaded.runs[0].weights  # noqa: B018
    with pytest.raises(rnnbench.RecordError, match="cannot read"):
        rnnbench.load(tmp_path / "damaged")


def test_without_pandas(sweep, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert np.isfinite(sweep.runs[0].metrics["loss/eval"][-1])
    for frame in (sweep.runs[0].frame, sweep.table().frame):
        with pytest.raises(ImportError, match=r"^a DataFrame needs pandas: pip install pandas$"):
            frame()
