"""A sweep through `rnnbench train -m`: its folders, its last lines, and the numbers of its jobs."""

import os
import signal

import pandas as pd
import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from small_sweeps import HF, NAG, Rnnbench, assert_close_job, events_of, jobs_of, metrics_of, plan_of, summary_of

import rnnbench.run.checkpoints
import rnnbench.run.job_folders
from rnnbench.sweeps import batched_sweep, group_run

TWO_GROUPS = ("optim=nag,sgd", "seed=0,1", "optim.lr=0.1,0.01")
CELLS = ["optim=nag,optim.lr=0.01", "optim=nag,optim.lr=0.1", "optim=sgd,optim.lr=0.01", "optim=sgd,optim.lr=0.1"]


@pytest.fixture(scope="module")
def two_groups(tmp_path_factory):
    """A sweep of eight jobs in two groups, and the command that made it."""
    calls = Rnnbench(tmp_path_factory.mktemp("two-groups"))
    command = calls("train", "-m", *NAG, *TWO_GROUPS, f"hydra.sweep.dir={calls.root / 's'}")
    yield calls.root / "s", command
    calls.close()


def test_the_plan(two_groups):
    folder, command = two_groups
    groups = plan_of(folder)["groups"]
    assert [group["label"] for group in groups] == ["optim=nag", "optim=sgd"]
    assert [group["folders"] for group in groups] == [["0", "1", "2", "3"], ["4", "5", "6", "7"]]
    for group in groups:
        assert [(own["seed"], own["optim.lr"]) for own in group["values"]] == [(0, 0.1), (0, 0.01), (1, 0.1), (1, 0.01)]
    assert "8 jobs in 2 batched runs, one after another" in command.err
    assert "not merged: optim must be the same" in command.err


def test_every_job_has_a_whole_run_folder(two_groups):
    folder, _ = two_groups
    assert [job.name for job in jobs_of(folder)] == [str(number) for number in range(8)]
    for job in jobs_of(folder):
        names = {path.name for path in job.iterdir()}
        assert {".hydra", "checkpoint.pt", "metrics.csv", "summary.json"} <= names
        assert len([name for name in names if name.startswith("events.out.")]) == 1
        config = yaml.safe_load((job / ".hydra" / "config.yaml").read_text())
        summary = summary_of(job)
        assert summary["status"] == "budget"
        assert summary["updates"] == 30
        for key in ("seed", "dtype", "threads"):
            assert summary["config"][key] == config[key]
        assert summary["config"]["optim"]["lr"] == config["optim"]["lr"]
        assert pd.read_csv(job / "metrics.csv")["update"].iloc[-1] == 30
        assert dict(events_of(job))["Overview/1_loss/eval"][:, 0].tolist() == list(range(0, 31, 5))


def test_the_aggregate_is_the_median_over_the_seeds(two_groups):
    folder, _ = two_groups
    assert sorted(path.name for path in (folder / "aggregate").iterdir()) == CELLS
    for name, jobs in zip(["optim=nag,optim.lr=0.1", "optim=sgd,optim.lr=0.01"], [("0", "2"), ("5", "7")], strict=True):
        tables = [metrics_of(folder / job) for job in jobs]
        values = [pd.to_numeric(table["loss/eval"]) for table in tables]
        found = pd.to_numeric(metrics_of(folder / "aggregate" / name)["loss/eval"])
        pd.testing.assert_series_equal(found, values[0].where(values[0] < values[1], values[1]))


def test_the_last_lines(two_groups):
    _, command = two_groups
    lines = command.out.splitlines()
    assert lines[0] == "s: none of 8 jobs solved; 8 budget used up"
    for line in ("report     rnnbench report", "all runs   tensorboard --logdir", "aggregate  tensorboard --logdir"):
        assert any(line in said for said in lines), command.out
    assert lines[-1].strip().endswith("budget.updates=60")


def test_the_log_of_a_group_tells_how_its_jobs_started_and_ended(two_groups):
    folder, _ = two_groups
    told = (folder / "groups/0.log").read_text()
    parts = "task=adding, model=rnn, init=edge_of_chaos, optim=nag"
    assert f"adding_nag starts: {parts}, 4 jobs, budget.updates=30\n" in told
    assert told.count(" ended: budget after 30 updates, ") == 4


def kill_at_first_checkpoint():
    def die(*arguments):
        os.kill(os.getpid(), signal.SIGKILL)

    rnnbench.run.checkpoints.save_checkpoint = die


def test_the_plan_is_on_disk_before_the_first_update(rnnbench):
    folder = rnnbench.sweep("s", *NAG, *TWO_GROUPS, before=kill_at_first_checkpoint, status=-signal.SIGKILL)
    assert [len(group["folders"]) for group in plan_of(folder)["groups"]] == [4, 4]
    assert not (folder / "groups" / "0.pt").exists()
    assert summary_of(folder / "0")["updates"] == 0
    assert not (folder / "4" / "summary.json").exists()


@pytest.mark.parametrize(
    ("words", "swept"),
    [
        ((*NAG, "probe=default"), {"seed": ["3", "5"], "optim.lr": ["0.1", "0.003"], "optim.momentum": ["0.9", "0.5"]}),
        ((*HF, "budget.updates=6"), {"seed": ["3", "5"], "optim.damping": ["0.1", "3"]}),
    ],
    ids=["nag", "hf"],
)
def test_a_job_equals_the_same_run_alone(words, swept, rnnbench):
    words = (*words, "dtype=float64")
    folder = rnnbench.sweep("s", *words, *(f"{key}={','.join(values)}" for key, values in swept.items()))
    assert len(plan_of(folder)["groups"]) == 1
    last = [f"{key}={values[-1]}" for key, values in swept.items()]
    alone = rnnbench.root / "alone"
    rnnbench("train", "-q", *words, *last, f"hydra.run.dir={alone}")
    assert_close_job(alone, jobs_of(folder)[-1])


def test_groups_of_at_most_so_many(rnnbench):
    folder = rnnbench.sweep("s", *NAG, "seed=range(0,5)", "hydra.launcher.max_replicas=2")
    assert sorted(len(group["folders"]) for group in plan_of(folder)["groups"]) == [1, 2, 2]
    assert len(jobs_of(folder)) == 5


def test_a_folder_that_holds_a_sweep_is_refused(rnnbench):
    folder = rnnbench.sweep("s", *NAG, *TWO_GROUPS, before=kill_before_running, status=-signal.SIGKILL)
    before = (folder / "sweep.json").read_bytes()
    command = rnnbench("train", "-m", "-q", *NAG, *TWO_GROUPS, f"hydra.sweep.dir={folder}", status=2)
    assert command.err.startswith(f"rnnbench: {folder} holds a sweep already: rnnbench resume {folder} continues it")
    assert (folder / "sweep.json").read_bytes() == before
    rnnbench("resume", "-q", folder)
    assert len(jobs_of(folder)) == 8


def kill_before_running():
    def die(*arguments, **options):
        os.kill(os.getpid(), signal.SIGKILL)

    batched_sweep.run_groups = die


def build_nothing_twice():
    """Let the groups of a sweep build no objects."""

    def fail(*arguments, **options):
        raise AssertionError

    group_run.set_up = fail


def test_groups_in_the_process_of_the_command_train_the_objects_that_it_has_built(rnnbench):
    words = (*NAG, *TWO_GROUPS, "budget.updates=3", "hydra.launcher.backend=inline")
    assert len(jobs_of(rnnbench.sweep("s", *words, before=build_nothing_twice))) == 8


def plan_only(counts):
    """Run nothing, and have Hydra's own composition of jobs counted in a file."""

    def count(self, *arguments, **options):
        with open(counts, "a") as file:
            file.write("composed\n")
        raise AssertionError

    def run_nothing(folder, numbers, settings, trusted, setups, *, quiet, say):
        return 0

    ConfigLoaderImpl.load_sweep_config = count
    batched_sweep.run_groups = run_nothing


@pytest.mark.slow
def test_hydra_composes_no_job_of_a_large_sweep(rnnbench):
    counts = rnnbench.root / "counts"
    lr = ",".join(str(10.0**-power) for power in range(8))
    words = (*NAG, "seed=range(0,16)", f"optim.lr={lr}")
    folder = rnnbench.sweep("s", *words, before=plan_only, given=(counts,))
    assert not counts.exists()
    assert [len(group["folders"]) for group in plan_of(folder)["groups"]] == [128]
    assert len(jobs_of(folder)) == 128
    seeds = {(own["seed"], own["optim.lr"]) for group in plan_of(folder)["groups"] for own in group["values"]}
    assert len(seeds) == 128
