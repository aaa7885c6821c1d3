"""`rnnbench resume` of sweeps and of their jobs: what goes on, what is refused, and with which words."""

import os
import shutil
import signal

import pytest
from small_sweeps import (
    NAG,
    SEEDS,
    assert_close_job,
    assert_same_sweep,
    jobs_of,
    plan_of,
    statuses_of,
)

import rnnbench.run.checkpoints
import rnnbench.run.job_folders
from rnnbench.records.lock import FILE_NAME, locked

LONGER = "budget.updates=60"

ENDED_ONCE = ("replicas/active_share",)
"""What shows that all had ended when the first budget was used up."""


def kill_at_checkpoint(number, afterwards):
    """Have this process killed when it saves its so-many-th checkpoint."""
    left = [number]
    save = rnnbench.run.checkpoints.save_checkpoint

    def dying(*arguments):
        left[0] -= 1
        if left[0] == 0 and not afterwards:
            os.kill(os.getpid(), signal.SIGKILL)
        save(*arguments)
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    rnnbench.run.checkpoints.save_checkpoint = dying


def killed(number, afterwards=False):
    """What has a command killed at its so-many-th checkpoint."""
    return {"before": kill_at_checkpoint, "given": (number, afterwards), "status": -signal.SIGKILL}


def everything_in(folder):
    """Path -> when it was changed, and the contents, of every file but the locks."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock" and path.name != FILE_NAME
    }


def one_line(command):
    assert command.err.startswith("rnnbench: "), command.err
    assert command.err.count("\n") == 1, command.err
    return command.err


def test_a_finished_sweep_says_so(rnnbench, prepared):
    folder = rnnbench.copy("s", prepared(*NAG, SEEDS))
    before = everything_in(folder)
    command = rnnbench("resume", folder)
    assert one_line(command) == f"rnnbench: {folder} is finished: all of its 4 jobs\n"
    assert everything_in(folder) == before


@pytest.mark.parametrize("afterwards", [False, True])
@pytest.mark.parametrize("number", [1, 2])
def test_killed_at_a_checkpoint(number, afterwards, rnnbench, prepared):
    whole = prepared(*NAG, SEEDS)
    folder = rnnbench.copy("killed", prepared(*NAG, SEEDS, **killed(number, afterwards)))
    assert statuses_of(folder) == ["running"] * 4
    rnnbench("resume", "-q", folder)
    assert_same_sweep(whole, folder)


def test_probes_that_look_back_go_on_too(rnnbench, prepared):
    words = [word for word in NAG if not word.startswith(("probe", "record.log", "record.check", "budget"))]
    words += ["probe=curvature", "probe.curvature.every=0", "probe.gradient_by_lag.every=0", "record.log_every=1"]
    words += ["seed=0,1", "record.checkpoint_every=4", "budget.updates=10"]
    whole = prepared(*words)
    folder = rnnbench.sweep("killed", *words, **killed(2, afterwards=True))
    rnnbench("resume", "-q", folder)
    assert_same_sweep(whole, folder)
    longer = rnnbench.sweep("longer", *words, "budget.updates=20")
    rnnbench("resume", "-q", folder, "budget.updates=20")
    assert_same_sweep(longer, folder, but=ENDED_ONCE)


def test_a_larger_budget(rnnbench, prepared):
    words = (*NAG, "optim=nag,sgd", "seed=0,1", "optim.lr=0.1,0.01")
    whole = rnnbench.sweep("whole", *words, LONGER)
    folder = rnnbench.copy("s", prepared(*words))
    command = rnnbench("resume", folder, LONGER)
    assert "resuming 8 of 8 jobs in 2 groups" in command.err
    assert all(group["config"]["budget"]["updates"] == 60 for group in plan_of(folder)["groups"])
    assert_same_sweep(whole, folder, but=ENDED_ONCE)


@pytest.mark.parametrize("number", [1, 2])
def test_a_larger_budget_killed(number, rnnbench, prepared):
    whole = prepared(*NAG, SEEDS, LONGER)
    folder = rnnbench.copy("s", prepared(*NAG, SEEDS))
    rnnbench("resume", folder, LONGER, **killed(number))
    rnnbench("resume", folder)
    assert_same_sweep(whole, folder, but=ENDED_ONCE)


def test_a_job_that_went_further_alone(rnnbench, prepared):
    words, longest = (*NAG, "dtype=float64", SEEDS), "budget.updates=90"
    whole = rnnbench.sweep("whole", *words, longest)
    folder = rnnbench.copy("s", prepared(*words))
    rnnbench("resume", "-q", folder / "1", LONGER)
    rnnbench("resume", "-q", folder, longest, **killed(1))  # now the summaries say nothing of how far the jobs are
    rnnbench("resume", "-q", folder)
    for one, other in zip(jobs_of(whole), jobs_of(folder), strict=True):
        assert_close_job(one, other)


def test_a_job_by_itself(rnnbench, prepared):
    whole = rnnbench.sweep("whole", *NAG, "dtype=float64", SEEDS, LONGER)
    folder = rnnbench.copy("s", prepared(*NAG, "dtype=float64", SEEDS))
    others = everything_in(folder / "0")
    command = rnnbench("resume", folder / "1", LONGER)
    assert "resumes after update 30" in command.err
    assert_close_job(whole / "1", folder / "1")
    assert everything_in(folder / "0") == others


def test_a_job_that_is_trained_with_others(rnnbench, prepared):
    folder = rnnbench.copy("s", prepared(*NAG, SEEDS, **killed(2)))
    before = everything_in(folder)
    command = rnnbench("resume", folder / "1", status=2)
    expected = f"{folder / '1'} is trained together with other jobs of a sweep: rnnbench resume {folder}"
    assert one_line(command) == f"rnnbench: {expected}\n"
    assert everything_in(folder) == before


def test_one_process_at_a_time(rnnbench, prepared):
    folder = rnnbench.copy("s", prepared(*NAG, SEEDS, **killed(2)))
    with locked(folder / FILE_NAME, "the sweep"):
        for words in ((folder,), (folder, LONGER)):
            said = one_line(rnnbench("resume", *words, status=2))
            assert f"{folder} is locked by process {os.getpid()} on " in said
            assert "wait until it ends, or stop it first" in said
    rnnbench("resume", folder)


def test_two_real_processes(rnnbench):
    first = rnnbench.start_sweep("s", *NAG, SEEDS, "budget.updates=100000")
    folder = rnnbench.root / "s"
    first.wait_until(lambda: (folder / "groups" / "0.pt").exists())
    try:
        for place in (folder, folder / "1"):
            said = one_line(rnnbench("resume", place, status=2))
            assert f"by process {first.process.pid} on " in said or "together with other jobs" in said
        said = one_line(rnnbench("train", "-m", *NAG, SEEDS, f"hydra.sweep.dir={folder}", status=2))
        assert "holds a sweep already" in said
    finally:
        first.signal(signal.SIGKILL)
    assert first.status() == -signal.SIGKILL


@pytest.mark.parametrize("file", ["sweep.json", "groups/0.pt"])
@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "another's"])
def test_damaged(file, damage, rnnbench, prepared):
    other = prepared(*NAG, "seed=0,1")
    folder = rnnbench.copy("s", prepared(*NAG, SEEDS, **killed(2)))
    whole = (folder / file).read_bytes()
    contents = {"cut": whole[: len(whole) // 2], "empty": b"", "noise": bytes(range(256))}
    contents["another's"] = (other / ("0/checkpoint.pt" if file.endswith(".pt") else "0/summary.json")).read_bytes()
    (folder / file).write_bytes(contents[damage])
    before = everything_in(folder)
    one_line(rnnbench("resume", folder, status=2))
    assert everything_in(folder) == before
    (folder / file).write_bytes(whole)
    rnnbench("resume", folder)
    assert statuses_of(folder) == ["budget"] * 4


def test_bad_words(rnnbench, prepared):
    folder = rnnbench.copy("s", prepared(*NAG, SEEDS))
    before = everything_in(folder)
    for word, said in [
        ("optim.lr=3", "optim.lr cannot be changed when a run is resumed"),
        ("budget.update=3", "did you mean budget.updates"),
        ("budget.updates=-1", "budget.updates"),
    ]:
        assert said in one_line(rnnbench("resume", folder, word, status=2))
    assert everything_in(folder) == before


def test_a_budget_that_is_used_up_is_reported(rnnbench):
    folder = rnnbench.sweep("s", *NAG, SEEDS, **killed(2, afterwards=True))
    command = rnnbench("resume", "-q", folder, "budget.updates=1")
    assert one_line(command) == f"rnnbench: {folder} has nothing left to do for 4 jobs: the budget is used up\n"
    assert statuses_of(folder) == ["budget"] * 4


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_job_folder_that_was_deleted(number, rnnbench, prepared):
    words = (*NAG, "dtype=float64", "seed=range(0,3)", "optim.lr=0.1,0.01")
    whole = prepared(*words)
    folder = rnnbench.sweep("s", *words, **killed(number))
    shutil.rmtree(folder / "1")
    command = rnnbench("resume", folder, status=1)
    assert f"{folder / '1'} is missing; its job is skipped" in command.err
    assert "job 1 failed: its folder is gone" in command.out
    assert "the aggregate is no longer" not in command.err
    assert statuses_of(folder) == ["budget"] * 5
    for job in jobs_of(folder):
        assert_close_job(whole / job.name, job)
