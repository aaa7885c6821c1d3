import json
import os

import pytest
from recorded_runs import write_run

from rnnbench.reports.finding import find_run_folders


def names(folders, root):
    return [str(folder.relative_to(root)) for folder in folders]


def write_plan(folder, *groups):
    """The plan of a sweep, as far as a report reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sweep.json").write_text(json.dumps({"format": 1, "groups": [{"folders": group} for group in groups]}))


def test_runs_are_found_below_any_folder_once(tmp_path):
    for name in ("a/0", "a/1", "b/c/d"):
        write_run(tmp_path / name)
    os.symlink(tmp_path / "a", tmp_path / "again")
    (tmp_path / "b/.hidden").mkdir()
    (tmp_path / "b/.hidden/summary.json").write_text("{}")
    found = find_run_folders([tmp_path, tmp_path / "a", tmp_path / "a/0", tmp_path / "again"])
    assert names(found.runs, tmp_path) == ["a/0", "a/1", "b/c/d"]
    assert (found.waiting, found.problems) == ([], [])


def test_a_sweep_is_the_jobs_of_its_plan(tmp_path):
    """Nested job folders, one of them named as what a sweep keeps; jobs that have not begun; one that is gone."""
    sweep = tmp_path / "runs/sweep"
    write_plan(sweep, ["0.1/0", "0.1/1", "groups/0"], ["later/0", "gone"], ["0.1/0"])
    for name in ("0.1/0", "0.1/1", "groups/0", "aggregate/optim.lr=0.1", "submitit", "no job"):
        write_run(sweep / name)
    (sweep / "later/0/.hydra").mkdir(parents=True)
    write_run(tmp_path / "runs/alone")
    found = find_run_folders([tmp_path])
    assert names(found.runs, tmp_path / "runs") == ["alone", "sweep/0.1/0", "sweep/0.1/1", "sweep/groups/0"]
    assert names(found.waiting, sweep) == ["later/0"]
    assert [(problem.folder.name, problem.effect) for problem in found.problems] == [("gone", "not counted")]


def test_a_job_whose_folder_is_a_link_in_a_circle(tmp_path):
    write_plan(tmp_path, ["loop", "0"])
    os.symlink("loop", tmp_path / "loop")
    write_run(tmp_path / "0")
    found = find_run_folders([tmp_path])
    assert names(found.runs, tmp_path) == ["0"]
    assert [problem.folder for problem in found.problems] == [tmp_path / "loop"]


def test_several_sweeps_and_a_job_of_one(tmp_path):
    for name in ("a", "b"):
        write_plan(tmp_path / name, ["0", "1"])
        write_run(tmp_path / name / "0")
        (tmp_path / name / "1").mkdir()
    found = find_run_folders([tmp_path / "b", tmp_path / "a/0", tmp_path / "a", tmp_path])
    assert names(found.runs, tmp_path) == ["a/0", "b/0"]
    assert sorted(names(found.waiting, tmp_path)) == ["a/1", "b/1"]


@pytest.mark.parametrize(
    "plan",
    [
        *("", "{", "[]", "3", "{}"),
        *('{"groups": 3}', '{"groups": [[]]}', '{"groups": [{"folders": [3]}]}'),
        '{"groups": [{"folders": ["\\u0000"]}]}',
    ],
)
def test_a_sweep_without_its_plan_is_the_runs_that_are_there(tmp_path, plan):
    for name in ("0", "aggregate/all", "groups", "submitit/1"):
        write_run(tmp_path / name)
    (tmp_path / "1").mkdir()
    (tmp_path / "sweep.json").write_text(plan)
    found = find_run_folders([tmp_path])
    assert names(found.runs, tmp_path) == ["0"]
    assert found.waiting == []
    assert [problem.message.partition(":")[0] for problem in found.problems] == ["sweep.json is damaged"]


def test_a_closed_folder_is_listed(tmp_path, monkeypatch):
    write_run(tmp_path / "a")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    found = find_run_folders([tmp_path])
    assert found.runs == [tmp_path / "a"]
    assert [(problem.folder.name, problem.message) for problem in found.problems] == [
        ("closed", "cannot be listed: Permission denied")
    ]
