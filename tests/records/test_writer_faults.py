"""Faults of the disk surface as one clear error, and what was recorded before them stays readable."""

import errno
import os
import subprocess

import numpy as np
import pytest
from run_folders import read_scalars

from rnnbench.records import events
from rnnbench.records.errors import RecordError
from rnnbench.records.metrics_csv import read_metrics
from rnnbench.records.writer import Records


def refuse_writes(descriptor, data):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no mount command: {error}")
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_full_disk(small_disk):
    def fill():
        with Records([small_disk], ["x"]) as records:
            for update in range(100_000):
                records.log(update, {"x": [update / 7]})
                if update % 100 == 0:
                    records.sync()

    with pytest.raises(RecordError, match="no space left on device") as caught:
        fill()
    assert str(small_disk) in str(caught.value)
    text = (small_disk / "metrics.csv").read_text()
    assert text.endswith("\n")
    metrics = read_metrics(small_disk)
    np.testing.assert_array_equal(metrics["x"], np.arange(len(metrics["x"])) / 7)
    assert len(metrics["x"]) > 500
    steps = [step for step, _ in read_scalars(small_disk, "x")]
    assert steps == list(range(len(steps)))
    assert len(steps) > 500


def test_failed_write_surfaces_at_the_next_call(tmp_path, monkeypatch):
    records = Records([tmp_path], ["x"], flush_seconds=1000)
    records.log(0, {"x": [0.0]})
    records.sync()
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse_writes)
        records.log(1, {"x": [1.0]})
        with pytest.raises(RecordError, match=r"cannot write .*: no space left on device \(and 1 more files\)"):
            records.sync()
    calls = [
        lambda: records.log(2, {"x": [2.0]}),
        lambda: records.histogram(0, "h", 2, [1.0]),
        lambda: records.text(0, "t", "words"),
        records.sync,
        lambda: records.checkpoint(lambda lengths: None),
    ]
    for call in calls:
        with pytest.raises(RecordError, match="no space left"):
            call()
    records.close()
    # The disk has room again when the records are closed: nothing that was accepted is lost.
    assert read_metrics(tmp_path)["x"].tolist() == [0.0, 1.0]
    assert read_scalars(tmp_path, "x") == [(0, 0.0), (1, 1.0)]


def test_failed_last_write_surfaces_at_close(tmp_path, monkeypatch):
    records = Records([tmp_path], ["x"], flush_seconds=1000)
    records.log(0, {"x": [0.0]})
    monkeypatch.setattr(os, "write", refuse_writes)
    with pytest.raises(RecordError, match="no space left"):
        records.close()
    records.close()


def test_failed_write_does_not_hide_another_error(tmp_path, monkeypatch):
    def fail_twice():
        with Records([tmp_path], ["x"], flush_seconds=1000) as records:
            records.log(0, {"x": [0.0]})
            monkeypatch.setattr(os, "write", refuse_writes)
            raise KeyError("first")

    with pytest.raises(KeyError) as caught:
        fail_twice()
    assert any("no space left" in note for note in caught.value.__notes__)


def test_any_error_of_the_thread_surfaces(tmp_path, monkeypatch):
    """Even one that nobody foresaw; the thread goes on, so that `sync` and `close` never wait for ever."""

    def fail(*arguments):
        raise MemoryError("histogram")

    monkeypatch.setattr(events, "histogram", fail)
    records = Records([tmp_path], ["x"])
    records.log(0, {"x": [0.0]})
    records.histogram(0, "h", 0, [1.0])
    with pytest.raises(RecordError, match="MemoryError"):
        records.sync()
    records.close()
    assert read_metrics(tmp_path)["x"].tolist() == [0.0]


def test_slow_disk_holds_up_the_caller(tmp_path, monkeypatch):
    """Rows that wait are bounded in number, and all of them arrive in order."""
    monkeypatch.setattr("rnnbench.records.writer_thread._QUEUE_SIZE", 2)
    with Records([tmp_path], ["x"], flush_seconds=0) as records:
        for update in range(200):
            records.log(update, {"x": [update]})
    assert read_metrics(tmp_path)["x"].tolist() == list(range(200))
