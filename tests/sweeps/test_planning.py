import dataclasses
import itertools

import pytest
from planned import SETTINGS, compose_jobs, plan_jobs

from rnnbench.config.launcher_settings import LauncherSettings
from rnnbench.records.aggregate import folder_name
from rnnbench.sweeps.batches import batch_jobs
from rnnbench.sweeps.plan import new_plan
from rnnbench.sweeps.planning import aggregate_names, plan_groups, plan_lines

GIBIBYTE = 2**30


def lines(plan):
    return list(plan_lines(plan, plan.numbers()))


def limited(max_replicas, **changes):
    return dataclasses.replace(SETTINGS, max_replicas=max_replicas, **changes)


def test_one_group(tmp_path):
    assert lines(plan_jobs(tmp_path, ["seed=range(0,3)", "optim.damping=1,2"])) == ["6 jobs in 1 batched run"]
    assert lines(plan_jobs(tmp_path, ["seed=1"])) == ["1 job in 1 batched run"]


def test_a_first_length_trains_each_job_alone(tmp_path):
    assert lines(plan_jobs(tmp_path, ["seed=range(0,2)", "task.first_length=20"], settings=limited("auto"))) == [
        "2 jobs in 2 batched runs, one after another",
        "  group 0: 1 replica",
        "  group 1: 1 replica",
        "  groups could be merged, but task.first_length trains each job alone",
    ]


@pytest.mark.parametrize(
    ("backend", "processes", "order"),
    [
        ("inline", 8, "one after another"),
        ("processes", 8, "2 in parallel"),
        ("submitit_slurm", 1, "each a task of submitit_slurm"),
    ],
)
def test_groups_that_differ(tmp_path, backend, processes, order):
    settings = limited(1000, backend=backend, processes=processes)
    assert lines(plan_jobs(tmp_path, ["seed=range(0,3)", "optim=sgd,nag"], settings=settings)) == [
        f"6 jobs in 2 batched runs, {order}",
        "  group 0: 3 replicas, optim=sgd",
        "  group 1: 3 replicas, optim=nag",
        "  not merged: optim must be the same for all replicas of a run",
    ]


def test_many_groups(tmp_path):
    found = lines(plan_jobs(tmp_path, ["optim=sgd,nag", "model.hidden_size=range(1,12)"]))
    assert found[0] == "22 jobs in 22 batched runs, one after another"
    assert (
        found[1:21]
        == [
            f"  group {number}: 1 replica, optim={optim},model.hidden_size={size}"
            for number, (optim, size) in enumerate(itertools.product(["sgd", "nag"], range(1, 12)))
        ][:20]
    )
    assert found[21:] == [
        "  and 2 more",
        "  not merged: optim and model.hidden_size must be the same for all replicas of a run",
    ]


def test_max_replicas(tmp_path):
    plan = plan_jobs(tmp_path, ["seed=range(0,10)"], settings=limited(4))
    assert lines(plan) == [
        "10 jobs in 3 batched runs, one after another",
        "  group 0: 3 replicas",
        "  group 1: 4 replicas",
        "  group 2: 3 replicas",
        "  groups could be merged, but max_replicas=4",
    ]
    plan = plan_jobs(tmp_path, ["seed=range(0,3)", "optim=sgd,nag"], settings=limited(2))
    assert lines(plan)[-2:] == [
        "  not merged: optim must be the same for all replicas of a run",
        "  groups with the same values could be merged, but max_replicas=2",
    ]


def test_seeds_stay_together(tmp_path):
    plan = plan_jobs(tmp_path, ["seed=range(0,3)", "optim=nag", "optim.lr=1,2"], settings=limited(3))
    assert [[values["optim.lr"] for values in group.values] for group in plan.groups] == [[1.0] * 3, [2.0] * 3]
    assert [[values["seed"] for values in group.values] for group in plan.groups] == [[0, 1, 2]] * 2
    assert [list(group.folders) for group in plan.groups] == [["0", "2", "4"], ["1", "3", "5"]]


def test_memory(tmp_path, monkeypatch):
    configs = compose_jobs("seed=range(0,64)", "optim=nag", "threads=1", "device=cpu")
    folders, batches = list(map(str, range(64))), batch_jobs(configs)

    def sizes(gibibytes, **changes):
        monkeypatch.setattr("rnnbench.run.machine.available_bytes", lambda device: gibibytes * GIBIBYTE)
        settings = limited("auto", **changes)
        plan = new_plan(tmp_path, settings, []).extended(plan_groups(batches, configs, folders, settings))
        assert [folder for group in plan.groups for folder in group.folders] == folders
        return [len(group.folders) for group in plan.groups], lines(plan)

    assert sizes(1000)[0] == [64]
    many, said = sizes(0.5)
    assert len(many) > 1
    assert max(many) - min(many) <= 1
    assert said[-1] == "  groups could be merged, but memory limits the number of replicas"
    assert max(sizes(0.25)[0]) < max(many)
    assert max(sizes(0.5, backend="processes", processes=4)[0]) < max(many)
    assert max(sizes(0.5, processes=4)[0]) == max(many)  # one after another, whatever `processes` is
    assert sizes(0)[0] == [1] * 64


@pytest.mark.parametrize(
    ("sweep", "processes", "sizes"),
    [
        (["seed=range(0,32)"], 2, [16, 16]),
        (["seed=range(0,32)"], 3, [11, 10, 11]),
        (["seed=range(0,9)"], 8, [4, 5]),  # not fewer than four in one
        (["seed=range(0,7)"], 2, [7]),
        (["seed=range(0,10)", "optim.batch_size=5,6"], 2, [10, 10]),
        (["seed=range(0,10)", "optim.batch_size=5,6"], 4, [5, 5, 5, 5]),
        (["seed=range(0,6)", "optim.lr=1e-3,1e-4,1e-5,1e-6"], 2, [12, 12]),
    ],
)
def test_every_process_gets_something_to_do(tmp_path, sweep, processes, sizes):
    settings = LauncherSettings("processes", processes, "auto", {})
    plan = plan_jobs(tmp_path, ["optim=nag", *sweep], settings=settings)
    assert [len(group.folders) for group in plan.groups] == sizes
    if len({group.label for group in plan.groups}) < len(sizes):
        assert lines(plan)[-1].endswith(f" could be merged, but {processes} processes share jobs and memory")
    inline = dataclasses.replace(settings, backend="inline")
    assert len(plan_jobs(tmp_path, ["optim=nag", *sweep], settings=inline).groups) == (2 if "5,6" in sweep[-1] else 1)


def test_what_is_not_known_limits_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("rnnbench.run.machine.available_bytes", lambda device: None)
    settings = LauncherSettings("inline", 1, "auto", {})
    assert len(plan_jobs(tmp_path, ["seed=range(0,64)"], settings=settings).groups) == 1


def unique_names(plan):
    named = aggregate_names(plan)
    for group, own in zip(plan.groups, named, strict=True):
        assert sorted(itertools.chain.from_iterable(own.values())) == list(range(len(group.folders)))
    names = [name for own in named for name in own]
    assert len({folder_name(name) for name in names}) == len(names)
    return [list(own) for own in named]


def test_names_of_aggregates(tmp_path):
    assert unique_names(plan_jobs(tmp_path, ["seed=1,2"])) == [["all"]]
    plan = plan_jobs(tmp_path, ["seed=1,2", "optim=sgd,nag", "optim.lr=0.1,0.2"])
    assert unique_names(plan) == [[f"optim={optim},optim.lr={lr}" for lr in (0.1, 0.2)] for optim in ("sgd", "nag")]
    assert aggregate_names(plan)[1] == {"optim=nag,optim.lr=0.1": [0, 2], "optim=nag,optim.lr=0.2": [1, 3]}


def test_names_of_parts(tmp_path):
    plan = plan_jobs(tmp_path, ["seed=range(0,4)", "optim=nag", "optim.lr=0.1,0.2"], settings=limited(3))
    assert unique_names(plan) == [
        ["optim.lr=0.1"],
        ["optim.lr=0.1 (2)", "optim.lr=0.2"],
        ["optim.lr=0.2 (2)"],
    ]
    after = plan.split(0, [[0, 1], [2]])
    assert unique_names(after) == [*unique_names(plan), ["optim.lr=0.1 (3)"], ["optim.lr=0.1 (4)"]]


def test_names_of_a_sweep_whose_jobs_come_in_batches(tmp_path):
    plan = plan_jobs(tmp_path, ["optim=nag", "optim.lr=0.1"], ["optim=sgd", "seed=1,2"], ["optim=sgd,nag"])
    assert unique_names(plan) == [["all"], ["all (2)"], ["optim=sgd"], ["optim=nag"]]
