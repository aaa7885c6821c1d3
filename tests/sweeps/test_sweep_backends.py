"""Where groups run decides nothing about their numbers; Hydra's other launchers and sweepers keep working."""

import io
import re
import subprocess
import sys

import pytest
from small_sweeps import (
    NAG,
    Rnnbench,
    assert_close_job,
    assert_same_job,
    assert_same_sweep,
    jobs_of,
    plan_of,
    statuses_of,
    summary_of,
)

from rnnbench.sweeps.progress import GroupsProgress, share_used

TWO_GROUPS = (*NAG, "optim=nag,sgd", "seed=0,1", "optim.lr=0.1,0.01")
LONGER = "budget.updates=40"


@pytest.fixture(scope="module")
def finished(request, tmp_path_factory):
    """A finished sweep of eight jobs in two groups by a backend, not to be changed, and the command that made it."""
    calls = Rnnbench(tmp_path_factory.mktemp("finished"))
    folder = calls.root / "s"
    words = (f"hydra.launcher.backend={request.param}", f"hydra.sweep.dir={folder}")
    yield folder, calls("train", "-m", *TWO_GROUPS, *words)
    calls.close()


@pytest.mark.slow
@pytest.mark.parametrize("finished", ["processes", "submitit_local"], indirect=True)
def test_the_same_numbers_elsewhere(finished, prepared):
    made, command = finished
    assert_same_sweep(prepared(*TWO_GROUPS), made)
    assert "group 0 ended\n" in command.err
    assert "group 1 ended\n" in command.err
    assert command.out.startswith("s: none of 8 jobs solved; 8 budget used up\n")
    assert ("8/8 jobs done  0/8 solved" in command.err) == (plan_of(made)["launcher"]["backend"] == "processes")


@pytest.mark.slow
@pytest.mark.parametrize("finished", ["processes"], indirect=True)
def test_progress_counts_the_jobs_of_groups(finished, monkeypatch):
    """As a notebook shows it. The first group goes on from its last row; the second one has ended in the meantime."""
    notebook = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr(sys, "stderr", notebook)
    with GroupsProgress(finished[0], [0, 1], quiet=False) as progress:
        progress.ended(1, 0)
    first, *_, last = notebook.getvalue().split("\r")[1:]
    assert "  0/8 jobs done  0/8 solved" in first
    assert "  4/8 jobs done  0/8 solved" in last


@pytest.mark.parametrize(
    ("budget", "used"),
    [
        ({"updates": 10**8, "sequences": 2000, "minutes": None}, 0.3),
        ({"updates": 10**8, "sequences": 10**8, "minutes": 0.1}, 0.5),
        ({"updates": 40, "sequences": 10**8, "minutes": 1.0}, 0.75),
        ({"updates": 20, "sequences": None, "minutes": None}, 1.0),
    ],
)
def test_progress_by_the_budget_that_ends_first(tmp_path, budget, used):
    """The first job was solved at update 20; the second goes on."""
    for name, row in (("0", "20,400,2.0"), ("1", "30,600,3.0")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.csv").write_text(f"update,cost/sequences,time/seconds\n0,0,0.0\n{row}\n")
    assert share_used([tmp_path / name for name in "012"], budget, 30) == used


@pytest.mark.slow
@pytest.mark.parametrize("finished", ["inline", "processes", "submitit_local"], indirect=True)
def test_a_failing_group_fails_alone(finished, rnnbench, prepared):
    folder = rnnbench.copy("s", finished[0])
    for number in range(4):
        (folder / str(number) / "metrics.csv").unlink()
    command = rnnbench("resume", folder, LONGER, status=1)  # by the same backend again, as sweep.json says
    assert ("group 1 ended\n" in command.err) == (plan_of(folder)["launcher"]["backend"] != "inline")
    assert statuses_of(folder) == ["failed"] * 4 + ["budget"] * 4
    assert "/0/metrics.csv: no such file or directory" in command.out
    whole = prepared(*TWO_GROUPS, LONGER)
    for number in range(4, 8):
        assert_same_job(whole / str(number), folder / str(number))


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_other_launchers_run_one_job_each(launcher, rnnbench, prepared):
    words = (*NAG, "dtype=float64", "seed=0,1", "optim.lr=0.1,0.01")
    whole = prepared(*words)
    words = (*words, f"hydra/launcher={launcher}")
    if launcher == "joblib":  # whose workers do not come up below a process that was forked
        folder = rnnbench.root / "s"
        command = [sys.executable, "-m", "rnnbench", "train", "-m", "-q", *words, "hydra.launcher.n_jobs=2"]
        done = subprocess.run([*command, f"hydra.sweep.dir={folder}"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    else:
        folder = rnnbench.sweep("s", *words)
    assert not (folder / "sweep.json").exists()
    assert len(jobs_of(folder)) == 4
    for one, other in zip(jobs_of(whole), jobs_of(folder), strict=True):
        assert_close_job(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["batched", "basic"])
def test_optuna_gets_a_number_to_minimise(launcher, rnnbench):
    words = (
        "hydra/sweeper=optuna",
        "hydra.sweeper.n_trials=4",
        "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.sampler.seed=1",
    )
    searched = ("objective=loss", "optim.lr=tag(log,interval(1e-5,1e-1))")
    folder = rnnbench.sweep("s", *NAG, *words, *searched, f"hydra/launcher={launcher}")
    losses = {}
    for job in jobs_of(folder):
        summary = summary_of(job)
        losses[summary["config"]["optim"]["lr"]] = summary["loss"]
    assert len(losses) == 4
    results = (folder / "optimization_results.yaml").read_text()
    best_lr = float(re.search(r"optim.lr: (\S+)", results).group(1))
    best_loss = float(re.search(r"best_value: (\S+)", results).group(1))
    assert best_loss == min(losses.values())
    assert losses[best_lr] == best_loss
    if launcher == "batched":
        assert [len(group["folders"]) for group in plan_of(folder)["groups"]] == [2, 2]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["batched", "basic"])
def test_values_that_are_proposed_again_are_not_trained_again(launcher, rnnbench):
    words = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=5", "hydra.sweeper.n_jobs=2", "seed=3,4")
    folder = rnnbench.sweep("s", *NAG, *words, "objective=loss", f"hydra/launcher={launcher}")
    summaries = [summary_of(path.parent) for path in folder.glob("*/summary.json")]
    losses = {summary["config"]["seed"]: summary["loss"] for summary in summaries}
    assert len(losses) == len(summaries) <= 2
    best = re.search(r"best_value: (\S+)", (folder / "optimization_results.yaml").read_text()).group(1)
    assert float(best) == min(losses.values())
    assert f"0 of {len(losses)} run" in rnnbench("report", folder).out
