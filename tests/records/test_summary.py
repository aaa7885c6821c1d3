"""summary.json: strict, whole at any moment, and read back as it was."""

import json
import math
import os
import stat
import subprocess
import threading

import numpy as np
import pytest

import rnnbench
from rnnbench.records import RecordError, SolvedAt, Summary, is_run_folder, read_summary, write_summary
from rnnbench.records.environment import git_revision, versions

FULL = Summary(
    "solved",
    solved=True,
    solved_at=SolvedAt(19, 212_000, 47.5),
    message=None,
    loss=0.25,
    error_rate=0.0027,
    baseline_loss=1 / 6,
    baseline_error_rate=0.92,
    updates=21,
    sequences=230_000,
    products=1901,
    seconds=51.0,
    config={"name": "adding_hf", "optim": {"name": "hf", "betas": [0.9, 0.999]}},
    versions={"torch": "2.13.0"},
    device="cpu",
    threads=2,
    recurrence="fused",
    git="0" * 40,
)


def test_round_trip(tmp_path):
    write_summary(tmp_path, FULL)
    assert read_summary(tmp_path) == FULL
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_waits_for_the_disk_only_where_asked_to(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    write_summary(tmp_path, FULL, durable=False)
    assert read_summary(tmp_path) == FULL
    assert not synced
    write_summary(tmp_path, FULL)
    assert len(synced) == 1


def test_keys_are_the_contract(tmp_path):
    write_summary(tmp_path, FULL)
    contents = json.loads((tmp_path / "summary.json").read_text())
    run = {"status", "solved", "solved_at", "message", "updates", "sequences", "products", "seconds"}
    quality = {"loss", "error_rate", "solved_error_rate", "baseline_loss", "baseline_error_rate"}
    told = {"config", "schema", "classes", "versions", "device", "threads", "recurrence", "git"}
    assert set(contents) == run | quality | told
    assert contents["solved_at"] == {"update": 19, "sequences": 212_000, "seconds": 47.5}


def test_not_finite_is_null(tmp_path):
    config = {"optim": {"clip_norm": math.inf, "betas": [math.nan, 0.5]}}
    write_summary(tmp_path, Summary("diverged", loss=math.nan, error_rate=float(np.float32(0.5)), config=config))

    def refuse(constant):
        raise AssertionError(f"{constant} is not strict JSON")

    contents = json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)
    assert (contents["loss"], contents["error_rate"]) == (None, 0.5)
    assert contents["config"] == {"optim": {"clip_norm": None, "betas": [None, 0.5]}}


def test_numpy_numbers(tmp_path):
    numbers = {"loss": np.float32(0.5), "updates": np.int64(3), "solved": np.bool_(False)}
    write_summary(tmp_path, Summary("running", **numbers))
    assert read_summary(tmp_path) == Summary("running", loss=0.5, updates=3, solved=False)


def test_reader_sees_whole_summaries_only(tmp_path):
    write_summary(tmp_path, Summary("running", message="0" * 20_000))
    stop = threading.Event()
    seen = []

    def read():
        while not stop.is_set():
            try:
                seen.append(read_summary(tmp_path))
            except RecordError as error:
                seen.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for digit in "123456789" * 5:
        write_summary(tmp_path, Summary("running", message=digit * 20_000))
    stop.set()
    reader.join()
    assert seen
    assert all(isinstance(summary, Summary) and len(set(summary.message or "")) == 1 for summary in seen)


def test_failed_write_leaves_the_old_one(tmp_path, monkeypatch):
    write_summary(tmp_path, FULL)

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RecordError, match=r"summary\.json: no space left on device"):
        write_summary(tmp_path, Summary("running"))
    assert read_summary(tmp_path) == FULL
    assert len(list(tmp_path.iterdir())) == 1


def test_permissions_follow_the_umask(tmp_path):
    (tmp_path / "other").touch()
    write_summary(tmp_path, FULL)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_removed_folder(tmp_path):
    with pytest.raises(RecordError, match="no such file"):
        write_summary(tmp_path / "gone", FULL)
    with pytest.raises(RecordError, match="no such file"):
        read_summary(tmp_path / "gone")


@pytest.mark.parametrize(
    ("contents", "word"),
    [
        ("{", "Expecting"),
        ("[]", "status must be one of"),
        ('{"status": "odd"}', "running, solved"),
        ("\xff", "cannot read"),
    ],
)
def test_reader_refuses_other_things(tmp_path, contents, word):
    (tmp_path / "summary.json").write_bytes(contents.encode("latin1"))
    with pytest.raises(RecordError, match=word):
        read_summary(tmp_path)


def test_reader_refuses_a_broken_solved_at(tmp_path):
    (tmp_path / "summary.json").write_text('{"status": "solved", "solved_at": {"step": 3}}')
    with pytest.raises(RecordError, match="solved_at"):
        read_summary(tmp_path)


def test_reader_leaves_out_unknown_keys(tmp_path):
    (tmp_path / "summary.json").write_text('{"status": "running", "new": 1}')
    assert read_summary(tmp_path) == Summary("running")


def test_is_run_folder(tmp_path):
    assert not is_run_folder(tmp_path)
    assert not is_run_folder(tmp_path / "missing")
    (tmp_path / ".hydra").mkdir()
    assert not is_run_folder(tmp_path)
    for name in ("summary.json", "checkpoint.pt", "metrics.csv"):
        (tmp_path / name).touch()
        assert is_run_folder(tmp_path)
        (tmp_path / name).unlink()


def test_versions():
    found = versions()
    assert found["numpy"] == np.__version__
    assert found["rnnbench"] == rnnbench.__version__
    assert {"python", "torch", "hydra-core", "omegaconf"} <= set(found)


def test_git_revision(tmp_path, monkeypatch):
    def git(*words):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        command = ["git", "-C", str(tmp_path), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert git_revision(tmp_path) is None
    git("init")
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "First")
    git("tag", "v1")
    revision = git("rev-parse", "HEAD")
    assert git_revision(tmp_path) == revision
    (tmp_path / "inner").mkdir()
    assert git_revision(tmp_path / "inner") is None
    (tmp_path / "file").write_text("2")
    assert git_revision(tmp_path) == f"{revision}-dirty"
    monkeypatch.setenv("PATH", "")
    assert git_revision(tmp_path) is None


def test_git_that_hangs(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr("rnnbench.records.environment._GIT_SECONDS", 0.1)
    assert git_revision(tmp_path) is None
