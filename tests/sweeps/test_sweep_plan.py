import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from planned import SETTINGS, compose_jobs, plan_jobs

from rnnbench.config.errors import ConfigError
from rnnbench.config.launcher_settings import LauncherSettings
from rnnbench.config.validate import fields_of
from rnnbench.records.errors import RecordError
from rnnbench.sweeps.plan import changing_plan, new_plan, read_plan

SWEEPS = [
    ["optim=adam", "optim.betas=[0.9,0.999],[0.1,0.30000000000000004]", "optim.eps=1e-8,1e-300", "seed=0,1"],
    ["optim=nag,sgd", "optim.clip_norm=null,0.1", "optim.lr=0.1,0.10000000000000002", "name=a,'1e-3'"],
    ["optim=hf", "init=gaussian", "init.recurrent_scale=null,0.3", f"seed={2**62},7", "budget.minutes=0.1"],
    ["~probe.state_jacobian", "task=temporal_order", "probe.gradient_norm.every=0,3", "objective=loss,error_rate"],
]


@pytest.mark.parametrize("words", SWEEPS, ids=lambda words: words[0])
def test_configurations_are_those_composed(tmp_path, words):
    """To the last bit, and of the same classes."""
    plan_jobs(tmp_path, words).write()
    plan, composed = read_plan(tmp_path), compose_jobs(*words)
    jobs = {job.folder: job.config for number in plan.numbers() for job in plan.jobs(number)}
    assert jobs.keys() == {tmp_path / str(number) for number in range(len(composed))}
    for number, config in enumerate(composed):
        read = jobs[tmp_path / str(number)]
        assert read == config
        assert repr(read) == repr(config)
        assert [(key, repr(value)) for key, value, _ in fields_of(read)] == [
            (key, repr(value)) for key, value, _ in fields_of(config)
        ]


def test_own_choices_without_a_schema(tmp_path):
    from rnnbench.config.compose import Composer
    from rnnbench.config.request import Request
    from rnnbench.sweeps.batches import batch_jobs
    from rnnbench.sweeps.planning import plan_groups

    (tmp_path / "my/model").mkdir(parents=True)
    (tmp_path / "my/model/tiny.yaml").write_text(
        "# Tiny.\nname: tiny\n_target_: rnnbench.models.simple_rnn.SimpleRnn\nhidden_size: 3\nnonlinearity: tanh\n"
    )
    with Composer(Request(config_dir=tmp_path / "my")) as composer:
        configs = [composer.compose(["model=tiny", f"seed={seed}"]).config for seed in (1, 2)]
    plan = new_plan(tmp_path, SETTINGS, []).extended(plan_groups(batch_jobs(configs), configs, ["a", "b"], SETTINGS))
    plan.write()
    (number,) = read_plan(tmp_path).numbers()
    for job, config in zip(read_plan(tmp_path).jobs(number), configs, strict=True):
        assert vars(job.config.model) == vars(config.model)
        assert type(job.config.model) is type(config.model)


def test_written_and_read_back(tmp_path):
    settings = LauncherSettings("submitit_local", 3, "auto", {"timeout_min": 5, "slurm_array_parallelism": None})
    plan = dataclasses.replace(plan_jobs(tmp_path, ["seed=0,1", "dtype=float32,float64"]), settings=settings)
    plan.write()
    read = read_plan(tmp_path)
    assert read.settings == settings
    assert read.overrides == ["seed=0,1", "dtype=float32,float64"]
    assert read.created == plan.created
    assert [group.label for group in read.groups] == ["dtype=float32", "dtype=float64"]
    assert [list(group.folders) for group in read.groups] == [["0", "2"], ["1", "3"]]
    read.write()
    assert read_plan(tmp_path) == read
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.json"]


def test_an_old_plan_stays_where_a_new_one_cannot_be_written(tmp_path, monkeypatch):
    plan = plan_jobs(tmp_path, ["seed=0,1"])
    plan.write()

    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(RecordError, match=r"cannot write .*sweep\.json: no space left on device"):
        plan.extended(plan.groups).write()
    assert len(read_plan(tmp_path).groups) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.json"]


def test_extended():
    plan = plan_jobs(Path("s"), ["optim=sgd", "seed=1,2"], ["optim=nag,sgd", "seed=3"])
    assert plan.numbers() == [0, 1, 2]
    assert [list(group.folders) for group in plan.groups] == [["0", "1"], ["2"], ["3"]]
    assert [job.config.seed for job in plan.jobs(0)] == [1, 2]
    assert plan.checkpoint(2) == Path("s/groups/2.pt")


def test_split(tmp_path):
    """Twice, as where a half is still too large."""
    plan = plan_jobs(tmp_path, ["seed=range(0,5)", "optim=sgd,nag"])
    seeds = {job.folder.name: job.config.seed for number in plan.numbers() for job in plan.jobs(number)}
    plan = plan.split(0, [[0, 1], [2, 3, 4]])
    assert plan.numbers() == [1, 2, 3]
    assert list(plan.groups[0].split_into) == [2, 3]
    plan = plan.split(3, [[0], [1, 2]])
    plan.write()
    plan = read_plan(tmp_path)
    assert plan.numbers() == [1, 2, 4, 5]
    assert {number: list(plan.groups[number].folders) for number in plan.numbers()} == {
        1: ["1", "3", "5", "7", "9"],
        2: ["0", "2"],
        4: ["4"],
        5: ["6", "8"],
    }
    assert {plan.groups[number].label for number in (2, 4, 5)} == {"optim=sgd"}
    found = {job.folder.name: job.config.seed for number in plan.numbers() for job in plan.jobs(number)}
    assert found == seeds


def test_changing_a_plan(tmp_path):
    (tmp_path / "groups").mkdir()
    plan_jobs(tmp_path, ["seed=range(0,4)"]).write()
    with changing_plan(tmp_path) as plan:
        plan.split(0, [[0], [1, 2, 3]]).write()
    with changing_plan(tmp_path) as plan:
        assert plan.numbers() == [1, 2]


def _without(*path):
    def change(tree):
        for key in path[:-1]:
            tree = tree[key]
        del tree[path[-1]]

    return change


def _with(value, *path):
    def change(tree):
        for key in path[:-1]:
            tree = tree[key]
        tree[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_with(2, "format"), r"sweep\.json has format 2, but this version reads format 1"),
        (_without("format"), "is damaged: there is no 'format'"),
        (_without("groups"), "is damaged: there is no 'groups'"),
        (_without("launcher", "backend"), "is damaged"),
        (_with(3, "groups"), "is damaged"),
        (_with([[]], "groups"), "is damaged"),
        (_with([], "groups", 0, "folders"), "a group has 0 folders and the values of 2 jobs"),
        (_with(["0", 1], "groups", 0, "folders"), "1 is not the name of a folder"),
        (_with(["0", "0"], "groups", 0, "folders"), "folders of a group must differ"),
        (_with([{}], "groups", 0, "values"), "a group has 2 folders and the values of 1 jobs"),
        (_with([3, 4], "groups", 0, "values"), "is damaged"),
        (_with([{"optim.x.y": 1}, {}], "groups", 0, "values"), r"there is no 'optim\.x\.y'|there is no 'x\.y'"),
        (_without("groups", 0, "config", "optim"), "there is no 'optim'"),
        (_without("groups", 0, "schema"), "is damaged"),
        (_with("Nothing", "groups", 0, "schema", "optim"), "is damaged"),
        (_with(3, "groups", 0, "config", "budget"), "is damaged"),
        (_with([7], "groups", 0, "split_into"), r"a group is split into \[7\], but there are 1 groups"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path, change, words):
    plan_jobs(tmp_path, ["seed=0,1"]).write()
    path = tmp_path / "sweep.json"
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))
    with pytest.raises(ConfigError, match=words) as caught:
        read_plan(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("contents", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"x"', b"[" * 5])
def test_a_file_that_is_no_plan_is_one_line(tmp_path, contents):
    (tmp_path / "sweep.json").write_bytes(contents)
    with pytest.raises(ConfigError, match=r"sweep\.json is damaged: .") as caught:
        read_plan(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_cut_file_is_one_line(tmp_path):
    plan_jobs(tmp_path, ["seed=0,1"]).write()
    whole = (tmp_path / "sweep.json").read_bytes()
    for length in range(0, len(whole) - 2, 97):
        (tmp_path / "sweep.json").write_bytes(whole[:length])
        with pytest.raises(ConfigError, match="is damaged"):
            read_plan(tmp_path)


def test_no_file(tmp_path):
    with pytest.raises(ConfigError, match=r"sweep\.json cannot be read: no such file or directory"):
        read_plan(tmp_path)
    shutil.rmtree(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_plan(tmp_path)
