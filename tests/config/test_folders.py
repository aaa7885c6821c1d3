"""Where a run and a sweep may lie: in no other, and around no other."""

import os
from pathlib import Path

import pytest

from rnnbench.config.errors import ConfigError
from rnnbench.config.folders import check_folder, check_job_folders, check_run, check_sweep, make_folder


@pytest.fixture(autouse=True)
def current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sweep(folder, subdirs=("0", "1"), *, has_plan=True, numbered=False):
    """Check the folders of a sweep and its jobs."""
    check_sweep(Path(folder), numbered=numbered)
    check_job_folders(Path(folder), subdirs, is_new=numbered, has_plan=has_plan)


CHECKS = {
    "run": lambda folder: check_run(Path(folder), numbered=False),
    "new run": lambda folder: check_run(Path(folder), numbered=True),
    "sweep": sweep,
    "new sweep": lambda folder: sweep(folder, numbered=True),
    "sweep without a plan": lambda folder: sweep(folder, has_plan=False),
}
SUMMARY, PLAN = {"summary.json": '{"status": "budget"}'}, {"sweep.json": "{}"}


@pytest.fixture
def occupied(current_folder):
    """Runs, a sweep with its jobs, a sweep of Hydra's own launcher, links, and files that only look like a run's."""
    for folder, files in {
        "runs/run": SUMMARY,
        "runs/saved": {"checkpoint.pt": "", "metrics.csv": ""},
        "runs/sweep": PLAN,
        "runs/sweep/0": SUMMARY,
        "runs/sweep/groups": {},
        "runs/plain": {"multirun.yaml": ""},
        "runs/plain/0": SUMMARY,
        "else": {"metrics.csv": "of somebody else", "summary.json": "[]"},
    }.items():
        (current_folder / folder).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (current_folder / folder / name).write_text(text)
    (current_folder / "link").symlink_to("runs/sweep")
    (current_folder / "runs/inner").symlink_to("run")


INSIDE = {
    "runs/run/x": "run",
    "runs/run/x/y/z": "run",
    "runs/saved/x": "run",
    "runs/../runs/run/y": "run",
    "runs/inner/x": "run",
    "runs/sweep/x": "sweep",
    "runs/sweep/groups/x": "sweep",
    "runs/sweep/aggregate": "sweep",
    "runs/sweep/0/x": "run",
    "link/x": "sweep",
    "runs/plain/0/x": "run",
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("folder", INSIDE)
def test_nothing_lies_in_a_run_or_a_sweep(folder, check, occupied):
    with pytest.raises(ConfigError, match=rf"^{folder} lies inside the {INSIDE[folder]} /.*: choose another hydra\."):
        CHECKS[check](folder)


@pytest.mark.parametrize("check", ["run", "sweep", "sweep without a plan"])
@pytest.mark.parametrize(("folder", "what"), [("runs/run", "run"), ("runs/sweep", "sweep"), ("link", "sweep")])
def test_nothing_lies_where_a_run_or_a_sweep_is(folder, what, check, occupied):
    with pytest.raises(
        ConfigError, match=f"^{folder} holds a {what} already: rnnbench resume {folder} continues it; or choose"
    ):
        CHECKS[check](folder)


@pytest.mark.parametrize("check", ["run", "sweep"])
@pytest.mark.parametrize("folder", ["runs", ".", "runs/../runs"])
def test_nothing_lies_around_a_run_or_a_sweep(folder, check, occupied):
    with pytest.raises(ConfigError, match=r"contains the (run|sweep) \S+: choose another hydra\."):
        CHECKS[check](folder)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("folder", ["runs/new", "runs/new/x", "else/x", "new"])
def test_beside_others_is_fine(folder, check, occupied):
    CHECKS[check](folder)


def test_a_sweep_without_a_plan_is_a_folder_with_runs_in_it(occupied):
    sweep("runs/plain", ["1", "a/2"], has_plan=False)
    sweep("runs", ["1", "2"], has_plan=False)
    with pytest.raises(
        ConfigError, match=r"runs/plain holds runs already, such as .*runs/plain/0: choose another hydra"
    ):
        sweep("runs/plain", ["0", "1"], has_plan=False)
    with pytest.raises(ConfigError, match="runs/plain/0/x lies inside the run"):
        sweep("runs/plain", ["0/x", "1"], has_plan=False)
    with pytest.raises(ConfigError, match="runs/plain contains the run runs/plain/0:"):
        sweep("runs", ["plain", "1"], has_plan=False)
    with pytest.raises(ConfigError, match="runs/plain contains the run runs/plain/0:"):
        sweep("runs/plain", ["1", "2"])


@pytest.mark.parametrize("name", ["", ".", "..", "../1", "a/../../1", "/tmp/1"])
def test_a_job_lies_inside_its_sweep(name):
    with pytest.raises(ConfigError, match=r"^hydra\.sweep\.subdir must name a folder inside that of the sweep, got '"):
        sweep("s", ["0", name])


@pytest.mark.parametrize("name", ["groups/1", "aggregate", "submitit/x", "report", "sweep.json", "./groups", ".lock/1"])
def test_a_job_takes_no_name_of_the_sweeps_own(name):
    with pytest.raises(ConfigError, match=r"^hydra\.sweep\.subdir=\S+: \S+ is a file of the sweep itself"):
        sweep("s", ["0", name])


def test_jobs_have_folders_of_their_own(current_folder):
    with pytest.raises(ConfigError, match="jobs 0 and 2 would share the folder s/x"):
        sweep("s", ["x", "y", "./x"])
    with pytest.raises(ConfigError, match="s/x/y/z of job 1 would lie in s/x of job 0"):
        sweep("s", ["x", "x/y/z"])
    sweep("s", ["x/y", "x/z", "xy"])
    (current_folder / "elsewhere").mkdir()
    (current_folder / "s").mkdir()
    (current_folder / "s/1").symlink_to("../elsewhere")
    with pytest.raises(ConfigError, match="s/1 is a link that leads out of s"):
        sweep("s")


def test_a_link_that_leads_in_a_circle(current_folder):
    (current_folder / "loop").symlink_to("loop")
    check_run(Path("loop"), numbered=False)
    with pytest.raises(ConfigError, match=r"hydra\.run\.dir: loop cannot be created"):
        make_folder(Path("loop"), "hydra.run.dir", numbered=False)


def test_folders_that_cannot_be_made(current_folder):
    (current_folder / "file").touch()
    with pytest.raises(ConfigError, match="file is not a folder"):
        check_folder(Path("file/x/y"), "hydra.run.dir")
    with pytest.raises(ConfigError, match=r"hydra.run.dir: .* cannot be used"):
        check_folder(Path("x" * 300), "hydra.run.dir")


def test_a_folder_without_permission(current_folder, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ConfigError, match="no permission"):
        check_folder(current_folder / "x", "hydra.run.dir")


def test_two_runs_in_the_same_second(current_folder):
    folder = Path("runs/day/time_name")
    taken = [make_folder(folder, "hydra.run.dir", numbered=True) for _ in range(3)]
    assert [path.name for path in taken] == ["time_name", "time_name_2", "time_name_3"]
    assert all(path.is_dir() for path in taken)
    assert make_folder(folder, "hydra.run.dir", numbered=False) == folder


def test_taking_a_folder_can_fail():
    with pytest.raises(ConfigError, match=r"hydra\.run\.dir: /proc/nothing/x cannot be created"):
        make_folder(Path("/proc/nothing/x"), "hydra.run.dir", numbered=True)
