"""What is saved with the records belongs to the rows before it, and the rows are on disk first."""

import errno
import os
import threading
from collections.abc import Mapping, Sequence

import pytest
from run_folders import make_folders

from rnnbench.records import writer_thread
from rnnbench.records.errors import RecordError
from rnnbench.records.metrics_csv import read_metrics
from rnnbench.records.writer import Records

Lengths = Sequence[Mapping[str, int]]


def test_rows_before_it_are_on_disk_and_later_ones_are_not(tmp_path):
    folders = make_folders(tmp_path, 3)
    seen = []

    def save(lengths):
        rows = [len(read_metrics(folder)["x"]) for folder in folders]
        sizes = [{path.name: path.stat().st_size for path in folder.iterdir()} for folder in folders]
        seen.append((rows, sizes == lengths))

    with Records(folders, ["x"], flush_seconds=1000) as records:
        for update in range(4):
            records.log(update, {"x": [0.5] * 3})
            records.log(update, {"x": [0.5]}, replicas=[1])
            records.checkpoint(save)
    assert seen == [([update + 1, 2 * (update + 1), update + 1], True) for update in range(4)]


def test_returns_while_an_earlier_one_is_saved_but_not_without_bound(tmp_path):
    going_on = threading.Event()
    saved = []

    def save(number, lengths):
        assert going_on.wait(20)
        saved.append(number)

    with Records([tmp_path], ["x"]) as records:
        bound = writer_thread._NUM_WAITING_CHECKPOINTS
        for number in range(bound):
            records.log(number, {"x": [0.0]})
            records.checkpoint(lambda lengths, number=number: save(number, lengths))
        assert not saved

        last = threading.Thread(target=records.checkpoint, args=[lambda lengths: save(bound, lengths)])
        last.start()
        last.join(0.05)
        assert last.is_alive()
        going_on.set()
        last.join()
    assert saved == list(range(bound + 1))


def test_files_that_have_not_changed_are_not_waited_for(tmp_path, monkeypatch):
    folders = make_folders(tmp_path, 5)
    synced = []
    fsync = os.fsync

    def count(descriptor):
        fsync(descriptor)
        synced.append(str(os.fstat(descriptor).st_ino))

    monkeypatch.setattr(os, "fsync", count)
    with Records(folders, ["x"]) as records:
        records.log(0, {"x": [0.0] * 5})
        records.sync()
        assert len(set(synced)) == len(synced) == 10
        records.log(1, {"x": [1.0]}, replicas=[3])
        synced.clear()
        records.sync()
        assert sorted(synced) == sorted(str(path.stat().st_ino) for path in folders[3].iterdir())
        synced.clear()
        records.sync()
        assert not synced


@pytest.mark.parametrize("error", [RecordError("cannot write the checkpoint"), OSError("cannot write the checkpoint")])
def test_what_goes_wrong_is_raised_by_the_next_call(tmp_path, error):
    saved = []

    def refuse(lengths):
        raise error

    records = Records([tmp_path], ["x"])
    for _ in range(2):
        records.log(0, {"x": [0.0]})
    going_on = threading.Event()
    records.checkpoint(lambda lengths: refuse(lengths) if going_on.wait(20) else None)
    records.checkpoint(saved.append)  # waits behind it, and is not what a run should go on from
    going_on.set()
    with pytest.raises(RecordError, match="cannot write the checkpoint"):
        records.sync()
    with pytest.raises(RecordError, match="cannot write the checkpoint"):
        records.checkpoint(saved.append)
    records.close()
    assert not saved
    assert len(read_metrics(tmp_path)["x"]) == 2


def test_a_full_disk_keeps_the_checkpoint_from_being_saved(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folders = make_folders(tmp_path, 2)
    saved = []
    records = Records(folders, ["x"])
    records.log(0, {"x": [0.0, 1.0]})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        records.checkpoint(saved.append)
        with pytest.raises(RecordError, match=r"no space left on device \(and 3 more files\)"):
            records.sync()
    records.close()
    assert not saved
    assert records.broken() == {}
    assert [read_metrics(folder)["x"].tolist() for folder in folders] == [[0.0], [1.0]]
