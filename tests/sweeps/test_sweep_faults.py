"""What goes wrong with one job, one group or the machine while a sweep runs."""

import contextlib
import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import weakref
from types import SimpleNamespace
from unittest.mock import MagicMock, call

import pytest
import torch
from small_sweeps import (
    NAG,
    SEEDS,
    assert_close_job,
    assert_same_job,
    assert_same_sweep,
    at_update,
    jobs_of,
    metrics_of,
    plan_of,
    statuses_of,
    summary_of,
)

import rnnbench.run.checkpoints
import rnnbench.run.job_folders
from rnnbench.config.launcher_settings import LauncherSettings
from rnnbench.config.trust import NOTHING
from rnnbench.records.errors import MachineError
from rnnbench.run.callbacks import RunCallbacks
from rnnbench.sweeps import backends, group_run
from rnnbench.sweeps.backends import run_groups
from rnnbench.sweeps.progress import outcome

# ---------------------------------------------------------------- folders


def remove(observer, path):
    """Remove a folder or a file; the records may be some rows behind."""
    while path.is_dir():  # again where a file was being written meanwhile
        shutil.rmtree(path, ignore_errors=True)
    path.unlink(missing_ok=True)


def remove_and_find(observer, path):
    """Remove it, and have the records come to where they miss it."""
    remove(observer, path)
    observer.drain()


@pytest.mark.parametrize("update", [0, 12, 30])
def test_a_folder_that_is_removed(update, rnnbench, prepared):
    words = (*NAG, "dtype=float64", SEEDS)
    whole = prepared(*words)
    gone = rnnbench.root / "s" / "1"
    command = rnnbench.start_sweep("s", *words, before=at_update, given=(update, remove, gone))
    assert command.status() == 1
    assert "job 1 failed: its folder is gone" in command.out
    folder = rnnbench.root / "s"
    assert not gone.exists()
    for job in jobs_of(folder):
        assert_close_job(whole / job.name, job)
    assert metrics_of(folder / "aggregate" / "all")["update"].iloc[-1] == "30"


def test_a_file_that_is_removed(rnnbench, prepared):
    words = (*NAG, "dtype=float64", SEEDS)
    whole = prepared(*words)
    file = rnnbench.root / "s" / "1" / "metrics.csv"
    command = rnnbench.start_sweep("s", *words, before=at_update, given=(12, remove_and_find, file))
    assert command.status() == 1
    folder = rnnbench.root / "s"
    assert statuses_of(folder) == ["budget", "failed", "budget", "budget"]
    assert f"cannot write {file}: no such file or directory" in summary_of(folder / "1")["message"]
    assert f"job 1 failed: cannot write {file}" in command.out
    for number in ("0", "2", "3"):
        assert_close_job(whole / number, folder / number)
    rnnbench("resume", folder, "budget.updates=40", status=0)
    assert [summary_of(folder / number)["updates"] for number in ("0", "2", "3")] == [40] * 3


def test_fail_fast_ends_the_other_jobs_with_a_checkpoint(rnnbench, prepared):
    words = (*NAG, "optim=nag,sgd", "seed=0,1")
    whole, folder = prepared(*words), rnnbench.root / "s"
    given = (12, remove_and_find, folder / "0" / "metrics.csv")
    where = ("hydra.launcher.fail_fast=true", "hydra.launcher.backend=inline")
    command = rnnbench.start_sweep("s", *words, *where, before=at_update, given=given)
    assert command.status() == 1, command.err
    assert [summary_of(folder / name)["status"] for name in ("0", "1")] == ["failed", "interrupted"]
    assert summary_of(folder / "1")["message"] == "ended because another job failed"
    assert not (folder / "2" / "summary.json").exists()  # the other group has not begun
    rnnbench("resume", "-q", folder, "hydra.launcher.fail_fast=false", status=0)
    assert json.loads((folder / "sweep.json").read_text())["launcher"]["fail_fast"] is False
    for name in ("1", "2", "3"):
        assert_same_job(whole / name, folder / name)


def test_fail_fast_ends_groups_in_other_processes(monkeypatch, tmp_path):
    workers = {number: SimpleNamespace(pid=number, exitcode=code) for number, code in enumerate((None, 1))}
    progress = MagicMock()

    def send(pid, number):
        workers[pid].exitcode = 128 + number

    monkeypatch.setattr(backends, "start_worker", lambda folder, number, *_: workers[number])
    monkeypatch.setattr(backends, "send_signal", send)
    monkeypatch.setattr(backends, "GroupsProgress", lambda *_, **__: contextlib.nullcontext(progress))
    settings = LauncherSettings("processes", 2, "auto", {}, fail_fast=True)
    assert run_groups(tmp_path, [0, 1, 2], settings, NOTHING, {}, quiet=True, say=print) == 1
    ended = 128 + signal.SIGTERM
    assert progress.ended.mock_calls == [call(1, 1, failed_fast=False), call(0, ended, failed_fast=True)]
    assert "a job of another group failed (hydra.launcher.fail_fast)" in outcome(0, ended, failed_fast=True)


# ---------------------------------------------------------------- disk


def fill_disk(num_bytes):
    """Have the disk full after so many bytes of records."""
    left, write, save = [num_bytes], os.write, rnnbench.run.checkpoints.save_checkpoint

    def write_some(descriptor, data):
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(descriptor, data[: left[0]])
        left[0] -= written
        return written

    def save_where_there_is_space(path, contents):
        if left[0] <= 0:
            raise MachineError(f"cannot write {path}: no space left on device")
        save(path, contents)

    def write_summary(folder, summary, *, durable=True):
        if left[0] <= 0:
            raise MachineError(f"cannot write {folder}: no space left on device")
        rnnbench.records.write_summary(folder, summary, durable=durable)

    os.write = write_some
    rnnbench.run.checkpoints.save_checkpoint = save_where_there_is_space
    rnnbench.run.job_folders.write_summary = write_summary


def assert_is_beginning(whole, folder):
    """What was recorded are the first whole lines of what is recorded otherwise."""
    for job in jobs_of(folder):
        if (job / "metrics.csv").exists():
            text = (job / "metrics.csv").read_text()
            assert text.endswith("\n") or not text
            if text:
                rows = metrics_of(job)
                assert rows.equals(metrics_of(whole / job.name).iloc[: len(rows)])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_full_disk(share, rnnbench, prepared):
    whole = prepared(*NAG, SEEDS)
    size = sum(file.stat().st_size for job in jobs_of(whole) for file in job.glob("[em]*"))
    folder = rnnbench.sweep("s", *NAG, SEEDS, before=fill_disk, given=(int(share * size),), status=1)
    assert_is_beginning(whole, folder)
    assert share < 0.1 or any(len(metrics_of(job)) > 0 for job in jobs_of(folder))
    rnnbench("resume", "-q", folder)
    assert_same_sweep(whole, folder)


@pytest.fixture
def disk(tmp_path):
    """A disk of its own, which the test makes smaller and larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def resize(disk, num_bytes):
    subprocess.run(["mount", "-o", f"remount,size={num_bytes}", str(disk)], check=True)


def test_a_real_full_disk(disk, rnnbench):
    words = (*NAG, SEEDS, "budget.updates=150")
    sweep_dir = f"hydra.sweep.dir={disk / 's'}"
    rnnbench("train", "-m", "-q", *words, sweep_dir)
    whole = shutil.copytree(disk / "s", rnnbench.root / "whole")
    needed = shutil.disk_usage(disk).used
    shutil.rmtree(disk / "s")
    resize(disk, int(0.8 * needed))
    command = rnnbench("train", "-m", "-q", *words, sweep_dir, status=1)
    assert "no space left on device" in command.err
    folder = disk / "s"
    assert_is_beginning(whole, folder)
    assert any(len(metrics_of(job)) > 10 for job in jobs_of(folder))
    resize(disk, 2 * needed)
    rnnbench("resume", "-q", folder)
    assert_same_sweep(whole, folder)


# ---------------------------------------------------------------- memory

ERRORS = {
    "gpu": (torch.OutOfMemoryError, "CUDA out of memory"),
    "cpu": (
        RuntimeError,
        "[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried",
    ),
}


def have_memory_for(most, update, kind):
    """Have memory used up by more than so many replicas, from an update on; they may not be kept any longer then."""
    on_update, run_group = RunCallbacks.on_update, group_run.run_group
    failed = []

    def failing(self, training, made):
        if len(training.active) > most and training.update >= update:
            failed.append(weakref.ref(training))
            made_by, message = ERRORS[kind]
            raise made_by(message)
        on_update(self, training, made)

    def run_half(*arguments, **options):
        assert not any(reference() for reference in failed), "its memory is still taken"
        return run_group(*arguments, **options)

    RunCallbacks.on_update = failing
    group_run.run_group = run_half


@pytest.mark.parametrize(("update", "kind"), [(0, "cpu"), (15, "gpu")])
@pytest.mark.parametrize("most", [2, 1])
def test_halves_where_memory_is_short(most, update, kind, rnnbench, prepared):
    words = (*NAG, "dtype=float64", SEEDS)
    whole = prepared(*words)
    command = rnnbench.start_sweep("s", *words, before=have_memory_for, given=(most, update, kind))
    assert command.status() == 0, command.err
    folder = rnnbench.root / "s"
    said = "group 0 does not fit into memory with 4 replicas; it is split into groups 1 and 2"
    assert said in command.err
    groups = plan_of(folder)["groups"]
    assert groups[0]["split_into"] == [1, 2]
    running = [group["folders"] for group in groups if not group["split_into"]]
    assert sorted(map(len, running)) == [most] * (4 // most)
    assert sorted(itertools.chain.from_iterable(running)) == ["0", "1", "2", "3"]
    for one, other in zip(jobs_of(whole), jobs_of(folder), strict=True):
        assert_close_job(one, other)
    command = rnnbench("resume", folder)
    assert "is finished: all of its 4 jobs" in command.err


def test_not_even_one_fits(rnnbench):
    command = rnnbench.start_sweep("s", *NAG, "seed=0,1,2", before=have_memory_for, given=(0, 15, "cpu"))
    assert command.status() == 1
    folder = rnnbench.root / "s"
    assert statuses_of(folder) == ["failed"] * 3
    assert "out of memory; lower the batch sizes" in summary_of(folder / "0")["message"]
    whole = rnnbench.sweep("whole", *NAG, "seed=0,1,2")
    rnnbench("resume", "-q", folder)
    for one, other in zip(jobs_of(whole), jobs_of(folder), strict=True):
        assert summary_of(other)["updates"] == summary_of(one)["updates"]


# ---------------------------------------------------------------- numbers


def test_a_replica_that_is_not_finite_any_more(rnnbench):
    words = (*NAG, "dtype=float64", "model.nonlinearity=linear", "seed=0,1")
    whole = rnnbench.sweep("whole", *words, "optim.lr=1e-4")
    folder = rnnbench.sweep("s", *words, "optim.lr=1e-4,1e200")
    assert statuses_of(folder) == ["budget", "diverged", "budget", "diverged"]
    for one, other in zip(jobs_of(whole), ("0", "2"), strict=True):
        assert_close_job(one, folder / other)
    assert (folder / "1" / "checkpoint.pt").exists()
    shares = metrics_of(folder / "aggregate" / "optim.lr=1e+200")["replicas/diverged_share"]
    assert shares.iloc[-1] == "1.0"
