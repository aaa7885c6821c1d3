"""A growing file holds whole records, whatever fails."""

import errno
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import create_file, truncate_file


class Disk:
    """Stands for a disk that has room for so many bytes, and takes at most `chunk` of them in one call."""

    def __init__(self, room, chunk=1000):
        self.room = room
        self.chunk = chunk
        self.write_for_real = os.write

    def write(self, descriptor, data):
        taken = min(len(data), self.room, self.chunk)
        if taken == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= taken
        return self.write_for_real(descriptor, bytes(data)[:taken])


def test_appends_in_order(tmp_path):
    path = tmp_path / "file"
    file = create_file(path, b"header\n")
    file.add(b"1\n")
    assert path.read_bytes() == b"header\n"
    assert file.pending_bytes == 2
    file.flush()
    file.add(b"2\n")
    file.flush(durable=True)
    assert path.read_bytes() == b"header\n1\n2\n"
    assert (file.length, file.pending_bytes) == (11, 0)


@settings(max_examples=60)
@given(
    records=st.lists(st.binary(min_size=1, max_size=12), min_size=1, max_size=8),
    room=st.integers(0, 60),
    chunk=st.integers(1, 20),
)
def test_full_disk_keeps_whole_records_and_loses_none(tmp_path_factory, records, room, chunk):
    path = tmp_path_factory.mktemp("disk") / "file"
    file = create_file(path, b"h")
    for record in records:
        file.add(record)
    disk = Disk(room, chunk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "write", disk.write)
        total = sum(map(len, records))
        if total > room:
            with pytest.raises(RecordError, match="no space left on device"):
                file.flush()
        else:
            file.flush()
        whole = [b"".join(records[:count]) for count in range(len(records) + 1)]
        fitting = max((data for data in whole if len(data) <= room), key=len)
        assert path.read_bytes() == b"h" + fitting
        assert file.pending_bytes == total - len(fitting)
    file.flush()
    assert path.read_bytes() == b"h" + b"".join(records)


def test_rest_of_a_broken_record_is_removed_later(tmp_path, monkeypatch):
    """Where even cutting fails, the next write that works removes what was left."""
    path = tmp_path / "file"
    file = create_file(path, b"h\n")
    file.add(b"1234567\n")

    def refuse(descriptor, length):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", Disk(3).write)
        patch.setattr(os, "ftruncate", refuse)
        with pytest.raises(RecordError, match=str(path)):
            file.flush()
    assert path.read_bytes() == b"h\n123"
    file.flush()
    assert path.read_bytes() == b"h\n1234567\n"


def test_removed_file_is_not_made_again(tmp_path):
    path = tmp_path / "file"
    file = create_file(path, b"h\n")
    path.unlink()
    file.add(b"1\n")
    with pytest.raises(RecordError, match=r"cannot write .*file: no such file"):
        file.flush()
    assert not path.exists()


def test_file_cut_by_another_program(tmp_path):
    path = tmp_path / "file"
    file = create_file(path, b"header\n")
    path.write_bytes(b"he")
    file.add(b"1\n")
    with pytest.raises(RecordError, match="another program has truncated it to 2 bytes"):
        file.flush()


def test_existing_file_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(b"precious")
    with pytest.raises(RecordError, match="already holds a run"):
        create_file(tmp_path / "file", b"h")
    assert (tmp_path / "file").read_bytes() == b"precious"


def test_cut(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    file = truncate_file(path, 4)
    file.add(b"x")
    file.flush()
    assert path.read_bytes() == b"0123x"
    with pytest.raises(RecordError, match="has 5 bytes, but had 6"):
        truncate_file(path, 6)
    with pytest.raises(RecordError, match="no such file"):
        truncate_file(tmp_path / "other", 0)
