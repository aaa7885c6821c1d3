"""What is damaged in a sweep keeps no more from going on than what it is of, and nothing is written outside."""

import json
import os
import shutil

import pytest
from small_sweeps import NAG, SEEDS, assert_close_job, assert_same_sweep, jobs_of, metrics_of, statuses_of, summary_of
from test_sweep_resume import everything_in, killed, one_line

from rnnbench.cli import main
from rnnbench.reports.finding import find_run_folders
from rnnbench.training.checkpoint import load_checkpoint

TWO_GROUPS = (*NAG, "dtype=float64", "optim=nag,sgd", "seed=0,1")
KILLED = killed(2, afterwards=True)
"""When the second checkpoint, of update 10, had just been saved."""


def flip(path):
    written = bytearray(path.read_bytes())
    written[len(written) // 2] ^= 1
    path.write_bytes(written)


def test_from_the_checkpoint_before(rnnbench, prepared):
    folder = rnnbench.copy("s", prepared(*NAG, SEEDS, **KILLED))
    flip(folder / "groups/0.pt")
    command = rnnbench("resume", "-q", folder)
    assert f"{folder}/groups/0.pt is damaged" in command.err
    assert "group 0 resumes from the checkpoint before it, after update 0: 10 updates are repeated" in command.err
    assert_same_sweep(prepared(*NAG, SEEDS), folder)


def test_a_finished_job_stays_finished(rnnbench, prepared):
    folder = rnnbench.copy("s", prepared(*NAG, SEEDS))
    before = {job: everything_in(job) for job in jobs_of(folder)}
    flip(folder / "groups/0.pt")
    rnnbench("resume", "-q", folder)
    assert {job: everything_in(job) for job in jobs_of(folder)} == before


def test_a_damaged_group_leaves_the_others(rnnbench, prepared):
    folder = rnnbench.copy("s", prepared(*TWO_GROUPS, **killed(2)))
    first = [folder / number for number in "01"]
    for path in (folder / "groups").glob("0*.pt"):
        flip(path)
    before = [everything_in(job) for job in first]
    command = rnnbench("resume", folder, status=1)
    assert f"group 0 is skipped: {folder}/groups/0.pt is damaged" in command.err
    assert [everything_in(job) for job in first] == before
    assert statuses_of(folder)[2:] == ["budget"] * 2


def test_a_damaged_job_leaves_the_others(rnnbench, prepared):
    words = (*NAG, "dtype=float64", SEEDS)
    whole, folder = prepared(*words), rnnbench.copy("s", prepared(*words, **KILLED))
    job = folder / "1"
    with open(job / "metrics.csv", "r+") as file:
        file.truncate(200)
    (folder / "2/summary.json").unlink()
    (folder / "2/summary.json").mkdir()
    command = rnnbench("resume", "-q", folder, status=1)
    assert "job 1 is skipped" in command.err
    assert f"cannot continue {job}/metrics.csv" in summary_of(job)["message"]
    assert f"`rnnbench resume {folder} --accept-gap`" in command.err
    assert (summary_of(job)["status"], summary_of(job)["updates"]) == ("failed", 10)
    assert load_checkpoint(job / "checkpoint.pt")["update"] == 10
    for number in ("0", "3"):
        assert_close_job(whole / number, folder / number)
    shutil.rmtree(folder / "2/summary.json")
    rnnbench("resume", "-q", folder, "--accept-gap")
    assert statuses_of(folder) == ["budget"] * 4
    assert metrics_of(job)["update"].tolist()[-1] == "30"
    assert_close_job(whole / "2", folder / "2")


def test_a_damaged_checkpoint_of_a_job_leaves_the_others(rnnbench, prepared):
    folder = rnnbench.copy("s", prepared(*NAG, SEEDS))
    flip(folder / "1/checkpoint.pt")
    before = everything_in(folder / "1")
    command = rnnbench("resume", "-q", folder, "budget.updates=40", status=1)
    assert f"{folder}/1/checkpoint.pt is damaged" in command.err
    assert everything_in(folder / "1") == before
    assert [summary_of(folder / number)["updates"] for number in "0123"] == [40, 30, 40, 40]


def test_a_group_without_its_checkpoint_keeps_what_has_ended(rnnbench, prepared):
    folder = rnnbench.copy("s", prepared(*NAG, SEEDS))
    before = everything_in(folder / "0")
    shutil.rmtree(folder / "groups")
    (folder / "groups").mkdir()
    command = rnnbench("resume", folder)
    assert "is finished" in command.err
    assert everything_in(folder / "0") == before


def rename(folder, name):
    """Have the plan name another folder for its job 0."""
    text = json.loads((folder / "sweep.json").read_text())
    text["groups"][0]["folders"][0] = name
    (folder / "sweep.json").write_text(json.dumps(text))


@pytest.mark.parametrize("name", ["../other", "{root}/other", ".", "", "1/../../other", "./1", "link", "inner/other"])
def test_jobs_outside_the_sweep_are_refused(name, prepared, tmp_path, capsys):
    folder, other = shutil.copytree(prepared(*NAG, SEEDS, **KILLED), tmp_path / "s"), tmp_path / "other"
    shutil.copytree(folder / "0", other)
    (folder / "link").symlink_to(other)
    (folder / "inner").symlink_to(tmp_path)
    rename(folder, name.format(root=tmp_path))
    before = everything_in(tmp_path)
    assert main(["resume", str(folder)]) == 2
    assert f"{folder}/sweep.json is damaged" in capsys.readouterr().err
    assert find_run_folders([folder]).problems[0].message.startswith("sweep.json is damaged")
    assert everything_in(tmp_path) == before


def test_an_aggregate_elsewhere_is_refused(prepared, tmp_path, capsys):
    folder = shutil.copytree(prepared(*NAG, SEEDS, **KILLED), tmp_path / "s")
    os.rename(folder / "aggregate", tmp_path / "mine")
    (folder / "aggregate").symlink_to(tmp_path / "mine")
    before = everything_in(tmp_path)
    assert main(["resume", str(folder)]) == 2
    assert "'aggregate' leads through a symbolic link" in capsys.readouterr().err
    assert everything_in(tmp_path) == before


def test_a_sweep_that_is_a_link_itself(rnnbench, prepared):
    folder = rnnbench.copy("s", prepared(*NAG, SEEDS, **KILLED))
    (rnnbench.root / "link").symlink_to(folder)
    rnnbench("resume", "-q", rnnbench.root / "link")
    assert_same_sweep(prepared(*NAG, SEEDS), folder)


def test_a_plan_that_is_a_pipe(prepared, rnnbench):
    folder = rnnbench.copy("s", prepared(*NAG, SEEDS, **KILLED))
    (folder / "sweep.json").unlink()
    os.mkfifo(folder / "sweep.json")
    one_line(rnnbench("resume", folder, status=2))
