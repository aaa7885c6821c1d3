"""A folder that cannot be written fails alone; a machine that cannot write ends the group."""

import errno
import os
import shutil
import stat

import pytest
from run_folders import checkpoint_lengths, make_folders, read_scalars

from rnnbench.records.errors import MachineError, RecordError
from rnnbench.records.growing_file import failure
from rnnbench.records.metrics_csv import read_metrics
from rnnbench.records.writer import Records

FILE_ERRORS = [errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ESTALE, errno.EISDIR]
MACHINE_ERRORS = [
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EROFS,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
]


def cut(folder):
    (folder / "metrics.csv").write_text("up")


def lose_events(folder):
    (path,) = folder.glob("events*")
    path.unlink()


@pytest.mark.parametrize("damage", [shutil.rmtree, cut, lose_events])
def test_one_broken_folder(tmp_path, damage):
    folders = make_folders(tmp_path, 3)
    with Records(folders, ["x"], flush_seconds=1000) as records:
        records.log(0, {"x": [0.0, 1.0, 2.0]})
        before = checkpoint_lengths(records)
        assert records.broken() == {}
        damage(folders[1])
        records.log(1, {"x": [10.0, 11.0, 12.0]})
        records.sync()
        told = records.broken()
        assert list(told) == [1]
        assert told[1].startswith(f"cannot write {folders[1]}")
        assert records.broken() == {}
        # The training takes note some rows later.
        records.log(2, {"x": [20.0, 21.0, 22.0]})
        records.histogram(1, "h", 2, [1.0])
        after = checkpoint_lengths(records)
        assert records.broken() == {}
        records.log(3, {"x": [30.0, 32.0]}, replicas=[0, 2])
    assert records.broken() == {}
    assert damage is not shutil.rmtree or not folders[1].exists()
    for replica in (0, 2):
        expected = [float(10 * update + replica) for update in range(4)]
        assert read_metrics(folders[replica])["x"].tolist() == expected
        assert read_scalars(folders[replica], "x") == list(enumerate(expected))
        assert after[replica]["metrics.csv"] > before[replica]["metrics.csv"]
    assert after[1].keys() == before[1].keys()
    if damage is shutil.rmtree:
        assert after[1] == before[1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_lost_permission(tmp_path):
    folders = make_folders(tmp_path, 2)
    with Records(folders, ["x"]) as records:
        (folders[0] / "metrics.csv").chmod(stat.S_IRUSR)
        records.log(0, {"x": [0.0, 1.0]})
        records.sync()
        assert "permission denied" in records.broken()[0]


@pytest.mark.parametrize("number", FILE_ERRORS)
def test_errors_of_one_file(tmp_path, monkeypatch, number):
    folders = make_folders(tmp_path, 2)
    records = Records(folders, ["x"], flush_seconds=1000)
    monkeypatch.setattr(os, "write", _refusing_below(folders[0], number))
    records.log(0, {"x": [0.0, 1.0]})
    records.sync()
    assert records.broken().keys() == {0}
    records.close()
    assert read_metrics(folders[1])["x"].tolist() == [1.0]


@pytest.mark.parametrize("number", MACHINE_ERRORS)
def test_errors_of_the_machine(tmp_path, monkeypatch, number):
    """Even where only one file has met it yet; what the others had is kept."""
    folders = make_folders(tmp_path, 2)
    records = Records(folders, ["x"], flush_seconds=1000)
    monkeypatch.setattr(os, "write", _refusing_below(folders[0], number))
    records.log(0, {"x": [0.0, 1.0]})
    with pytest.raises(RecordError, match=r"metrics\.csv: .*\(and 1 more files\)"):
        records.sync()
    assert records.broken() == {}
    assert read_metrics(folders[1])["x"].tolist() == [1.0]
    records.close()


def _refusing_below(folder, number):
    write = os.write
    inodes = {path.stat().st_ino for path in folder.iterdir()}

    def refuse(descriptor, data):
        if os.fstat(descriptor).st_ino in inodes:
            raise OSError(number, os.strerror(number))
        return write(descriptor, data)

    return refuse


def test_kinds_of_errors():
    for number in MACHINE_ERRORS:
        assert type(failure("cannot write x", OSError(number, os.strerror(number)))) is MachineError
    for number in FILE_ERRORS:
        assert type(failure("cannot write x", OSError(number, os.strerror(number)))) is RecordError


def test_no_folder_left(tmp_path):
    folders = make_folders(tmp_path, 2)
    records = Records(folders, ["x"], flush_seconds=1000)
    shutil.rmtree(folders[0])
    records.log(0, {"x": [0.0, 1.0]})
    records.sync()
    shutil.rmtree(folders[1])
    records.log(1, {"x": [0.0, 1.0]})
    with pytest.raises(RecordError, match=r"0.metrics\.csv: no such file or directory \(and 1 more runs\)"):
        records.sync()
    with pytest.raises(RecordError, match="no such file"):
        records.log(2, {})
    assert records.broken().keys() == {0, 1}
    records.close()


def test_only_folder_removed_before_the_last_rows(tmp_path):
    folders = make_folders(tmp_path, 1)
    records = Records(folders, ["x"], flush_seconds=1000)
    shutil.rmtree(folders[0])
    records.log(0, {"x": [0.0]})
    with pytest.raises(RecordError, match=r"no such file or directory$"):
        records.close()


def test_last_rows_of_one_folder(tmp_path):
    folders = make_folders(tmp_path, 2)
    with Records(folders, ["x"], flush_seconds=1000) as records:
        records.log(0, {"x": [0.0, 1.0]})
        shutil.rmtree(folders[0])
    assert records.broken().keys() == {0}


def test_the_owner_gives_a_replica_up(tmp_path):
    """Also from what a checkpoint saves; what was logged before is kept, the first sentence counts."""
    folders = make_folders(tmp_path, 3)
    with Records(folders, ["x"], flush_seconds=1000) as records:
        records.log(0, {"x": [0.0, 1.0, 2.0]})
        records.fail(1, "cannot write its summary")
        records.fail(1, "cannot write its checkpoint")
        assert records.broken() == {1: "cannot write its summary"}
        records.checkpoint(lambda lengths: records.fail(2, "gone"))
        records.sync()
        assert records.broken() == {2: "gone"}
        records.log(1, {"x": [0.0, 1.0, 2.0]})
        assert [lengths["metrics.csv"] for lengths in checkpoint_lengths(records)] == [21, 15, 15]
        records.fail(0, "lost")
        with pytest.raises(RecordError, match=r"cannot write its summary \(and 2 more runs\)"):
            records.log(2, {})
    assert [len(read_metrics(folder)["x"]) for folder in folders] == [2, 1, 1]


def test_broken_folder_does_not_keep_the_others_from_going_on(tmp_path):
    folders = make_folders(tmp_path, 3)
    with Records(folders, ["x"]) as records:
        records.log(0, {"x": [0.0, 1.0, 2.0]})
        lengths = checkpoint_lengths(records)
    shutil.rmtree(folders[0])
    cut(folders[2])
    with Records(folders, ["x"], lengths=lengths) as records:
        told = records.broken()
        assert told.keys() == {0, 2}
        assert "no such file" in told[0]
        assert "its columns are not those of this run" in told[2]
        assert [now["metrics.csv"] for now in checkpoint_lengths(records)] == [each["metrics.csv"] for each in lengths]
        records.log(1, {"x": [0.0, 11.0, 2.0]})
    assert read_metrics(folders[1])["x"].tolist() == [1.0, 11.0]
    shutil.rmtree(folders[1])
    with pytest.raises(RecordError, match=r"0.metrics\.csv: no such file or directory \(and 2 more runs\)"):
        Records(folders, ["x"], lengths=lengths)
    with pytest.raises(RecordError, match=r"\(and 2 more runs\)"):
        Records([folder / "none" for folder in folders], ["x"], restart=True)
