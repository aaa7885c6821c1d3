"""What a stranger's sweep.json asks for is not believed: nothing of it is imported, called or allocated for."""

import json
import sys
from pathlib import Path

import pytest
from planned import plan_jobs

from rnnbench.cli import main
from rnnbench.config.classes import places_of
from rnnbench.config.trust import NOTHING, Trusted
from rnnbench.sweeps import group_run
from rnnbench.sweeps.backends import run_group_or_report

SIDE_EFFECT = """
from pathlib import Path
Path(__file__).with_name("imported").touch()

class Popen:
    def __init__(self, *arguments, **keys):
        Path(__file__).with_name("called").touch()
"""
SMALL = ("optim=sgd", "probe=default", "seed=0,1")


@pytest.fixture
def resume(tmp_path, monkeypatch, capsys):
    """Resume a sweep that has not begun, in which something is changed; it has to end as bad input, in one line."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    sweep = tmp_path / "sweep"
    for folder in ("0", "1", "groups"):
        (sweep / folder).mkdir(parents=True)
    plan_jobs(sweep, SMALL).write()

    def call(edit, *options):
        tree = json.loads((sweep / "sweep.json").read_text())
        edit(tree)
        written = json.dumps(tree)
        (sweep / "sweep.json").write_text(written)
        capsys.readouterr()
        assert main(["resume", "sweep", "budget.updates=7", *options]) == 2
        captured = capsys.readouterr()
        assert (captured.out, captured.err.count("\n")) == ("", 1)
        assert (sweep / "sweep.json").read_text() == written
        assert list(sweep.glob("*/*.csv")) == []
        return captured.err.strip()

    return call


def set_target(group, target):
    def edit(tree):
        config = tree["groups"][0]["config"]
        (config["probe"]["gradient_norm"] if group == "probe" else config[group])["_target_"] = target

    return edit


@pytest.mark.parametrize("target", ["subprocess.Popen", "os.system", "strange_module.Popen"])
@pytest.mark.parametrize("group", ["task", "model", "init", "optim", "probe"])
def test_no_class_of_a_stranger_is_imported(resume, tmp_path, monkeypatch, group, target, capsys):
    (tmp_path / "strange_module.py").write_text(SIDE_EFFECT)
    monkeypatch.syspath_prepend(tmp_path)
    assert target in resume(set_target(group, target))
    assert (
        run_group_or_report(tmp_path / "sweep", 0, NOTHING, quiet=True) == 1
    )  # what a worker does that is told nothing
    assert target in capsys.readouterr().err
    assert [*tmp_path.glob("imported"), *tmp_path.glob("called")] == []
    assert "strange_module" not in sys.modules


def test_the_refusal_is_the_command_that_goes_on(resume, tmp_path):
    def edit(tree):
        set_target("task", "of_a_stranger.Task")(tree)
        set_target("model", "of_a_stranger.Model")(tree)
        tree["groups"][0]["classes"] = dict.fromkeys(["of_a_stranger.Task", "of_a_stranger.Model"], str(tmp_path))

    message = resume(edit)
    assert message == (
        f"rnnbench: sweep uses of_a_stranger.Task and of_a_stranger.Model from {tmp_path}, classes that are not "
        f"part of rnnbench; if you trust them: rnnbench resume sweep budget.updates=7 --config-dir {tmp_path}"
    )


def test_a_worker_finds_a_class_in_a_folder_that_is_named(tmp_path, monkeypatch, capsys):
    """A process of submitit's or of a cluster has no more than that: the folder is not on its path yet."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(group_run, "_run_part", lambda *_, **__: 0)
    sweep, own = tmp_path / "sweep", tmp_path / "my"
    for folder in (sweep / "0", sweep / "1", sweep / "groups", own):
        folder.mkdir(parents=True)
    (own / "named_module.py").write_text("from rnnbench.tasks.adding import Adding as Named")
    plan_jobs(sweep, SMALL).write()
    tree = json.loads((sweep / "sweep.json").read_text())
    set_target("task", "named_module.Named")(tree)
    (sweep / "sweep.json").write_text(json.dumps(tree))
    assert run_group_or_report(sweep, 0, Trusted(folders=(own,)), quiet=True) == 0, capsys.readouterr().err


def set_value(value, *path):
    def edit(tree):
        for key in path[:-1]:
            tree = tree[key]
        tree[path[-1]] = value

    return edit


CONFIG = ("groups", 0, "config")
LAUNCHER = ("launcher",)


@pytest.mark.parametrize(
    ("value", "path", "words"),
    [
        (10**9, (*CONFIG, "model", "hidden_size"), "GiB"),
        (10**30, (*CONFIG, "model", "hidden_size"), "hidden_size is larger"),
        (10**12, (*CONFIG, "task", "sequence_length"), "GiB"),
        (0, (*CONFIG, "model", "hidden_size"), "model.hidden_size must be >= 1"),
        (float("nan"), (*CONFIG, "optim", "lr"), "optim.lr must be a finite number"),
        ("${oc.env:HOME}", (*CONFIG, "optim", "lr"), "optim.lr must be a number, got '${oc.env:HOME}'"),
        (["x"], ("groups", 0, "classes"), "classes"),
        ("threads", (*LAUNCHER, "backend"), "hydra.launcher.backend"),
        ("auto", (*LAUNCHER, "backend"), "must not be auto"),
        ([3], (*LAUNCHER, "processes"), "hydra.launcher.processes"),
        (0, (*LAUNCHER, "max_replicas"), "hydra.launcher.max_replicas"),
        ("x", (*LAUNCHER, "submitit"), "hydra.launcher.submitit"),
    ],
)
def test_a_value_that_cannot_be_is_one_line(resume, value, path, words):
    assert words in resume(set_value(value, *path))


@pytest.mark.parametrize(
    "parameters",
    [
        {"local_setup": ["touch ran"]},
        {"slurm_setup": ["touch ran"]},
        {"slurm_srun_args": ["--prolog=x"]},
        {"slurm_additional_parameters": {"export": "ALL,PYTHONPATH=/x"}},
        {"slurm_partition": "gpu\ntouch ran"},
    ],
)
def test_submitit_runs_no_command_of_a_stranger(resume, tmp_path, parameters):
    def edit(tree):
        tree["launcher"] |= {"backend": "submitit_local", "submitit": parameters}

    message = resume(edit)
    assert message.endswith(
        "which may run commands; if you trust it: rnnbench resume sweep budget.updates=7 --trust submitit"
    )
    assert not (tmp_path / "ran").exists()


def test_deep_nesting_is_one_line(tmp_path, capsys):
    """In each of the files that a sweep and its report read."""
    (tmp_path / "sweep.json").write_text('{"groups":' * 100_000 + "1" + "}" * 100_000)
    assert main(["resume", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    (tmp_path / "sweep.json").unlink()
    (tmp_path / "summary.json").write_text('{"config":' * 100_000 + "1" + "}" * 100_000)
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") <= 2


def test_the_folders_of_classes_are_kept(tmp_path):
    plan = plan_jobs(tmp_path, ["optim=sgd", "seed=0,1"])
    assert [dict(group.classes) for group in plan.groups] == [{}]
    config = plan.groups[0].configs()[0]
    config.task._target_ = f"{__name__}.Mine"
    root = Path(__file__).parents[__name__.count(".")]  # pytest decides from where it imports this module
    assert places_of([config]) == {f"{__name__}.Mine": str(root)}
