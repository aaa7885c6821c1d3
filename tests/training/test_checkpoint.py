"""A checkpoint is read as it was written or refused, and one of the last two is there at any moment."""

import os
import zipfile

import pytest
import torch

from rnnbench.records import RecordError
from rnnbench.training.checkpoint import load_checkpoint, previous_checkpoint, save_checkpoint
from rnnbench.training.replica import Replica, Snapshot

FORMAT_WITHOUT_CHECKSUM = 3


def contents(update=5, **changed):
    theta = torch.arange(40.0).reshape(1, 40)
    snapshot = Snapshot(update, 3, theta, {"velocity": theta / 3}, {}, [Replica(updates=update, loss=0.5)])
    return {**snapshot.contents(), "threads": 1, **changed}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, contents())
    return path


def is_refused(path, written):
    path.write_bytes(written)
    try:
        load_checkpoint(path)
    except RecordError:
        return True
    return False


def test_torch_and_zip_read_it(path):
    assert torch.load(path, weights_only=True)["theta"].equal(contents()["theta"])
    assert torch.load(path, weights_only=True, mmap=True)["update"] == 5
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    assert load_checkpoint(path)["optimizer_state"]["velocity"].equal(contents()["theta"] / 3)


def test_no_flipped_bit_and_no_cut_passes(path):
    written = path.read_bytes()
    for place in range(0, len(written), 5):
        flipped = bytearray(written)
        flipped[place] ^= 1 << place % 8
        assert is_refused(path, bytes(flipped)), place
    for length in range(0, len(written), 101):
        assert is_refused(path, written[:length]), length
    assert not is_refused(path, written)


def test_a_checkpoint_of_the_format_before_is_read_and_its_tensors_are_checked(path):
    torch.save({**contents(), "format": FORMAT_WITHOUT_CHECKSUM}, path)
    assert load_checkpoint(path)["theta"].equal(contents()["theta"])
    flipped = bytearray(path.read_bytes())
    flipped[flipped.index(contents()["theta"].numpy().tobytes()) + 10] ^= 1
    assert is_refused(path, bytes(flipped))


def test_a_checkpoint_that_has_lost_its_checksum_is_refused(path):
    torch.save({**contents(), "format": 4}, path)
    with pytest.raises(RecordError, match="damaged"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    "other",
    [
        [1, 2],
        {"format": 4},
        {"format": "4"},
        contents(theta=[1.0]),
        contents(theta=torch.zeros(2, 40)),
        contents(optimizer_state={"velocity": 1}),
        contents(previous=None),
        contents(update="5"),
        contents(update=True),
        contents(num_logged=10**400),
        contents(replicas=[{}]),
        contents(replicas=[{**contents()["replicas"][0], "seconds": "0"}]),
        contents(replicas=[{**contents()["replicas"][0], "hits": [{"update": 3}]}]),
    ],
)
def test_other_contents_are_refused(other, tmp_path):
    path = tmp_path / "other.pt"
    if isinstance(other, dict) and "update" in other:
        save_checkpoint(path, other)
    else:
        torch.save(other, path)
    with pytest.raises(RecordError, match=r"other\.pt"):
        load_checkpoint(path)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_plain_file_is_refused_at_once(make, tmp_path):
    make(tmp_path / "a.pt")
    with pytest.raises(RecordError, match=r"a\.pt"):
        load_checkpoint(tmp_path / "a.pt")


def test_the_one_before_it_is_kept(path):
    save_checkpoint(path, contents(6))
    save_checkpoint(path, contents(7))
    assert [load_checkpoint(each)["update"] for each in (path, previous_checkpoint(path))] == [7, 6]
    assert len(list(path.parent.iterdir())) == 2
    save_checkpoint(path, contents(8), keep_previous=False)
    assert [load_checkpoint(each)["update"] for each in (path, previous_checkpoint(path))] == [8, 6]


class PowerLossError(BaseException):
    """The machine is off: nothing more happens."""


@pytest.mark.parametrize("has_links", [True, False])
def test_whenever_the_power_is_lost_a_whole_one_is_there(has_links, path, monkeypatch):
    """Before each step that changes a name, and after the last."""
    save_checkpoint(path, contents(6))
    steps_left = 0

    def step(name, change):
        def change_until_the_power_is_lost(*arguments, **options):
            nonlocal steps_left
            steps_left -= 1
            if steps_left < 0:
                raise PowerLossError
            if name == "link" and not has_links:
                raise PermissionError(1, "this file system has no hard links")
            return change(*arguments, **options)

        return change_until_the_power_is_lost

    for name in ("link", "replace", "unlink"):
        monkeypatch.setattr(os, name, step(name, getattr(os, name)))
    for number in range(20):
        steps_left = number
        try:
            save_checkpoint(path, contents(7 + number))
        except PowerLossError:
            seen = [load_checkpoint(each)["update"] for each in (path, previous_checkpoint(path)) if each.exists()]
            assert seen
            assert 6 <= max(seen) <= 7 + number
        else:
            break
    assert number > 2
    assert load_checkpoint(path)["update"] == 7 + number


def test_a_link_under_the_name_of_the_temporary_file_is_not_followed(path):
    precious = path.parent / "precious"
    precious.write_text("mine")
    for name in (".checkpoint.pt.tmp", "checkpoint.pt.tmp", "checkpoint.previous.pt"):
        (path.parent / name).symlink_to(precious)
    save_checkpoint(path, contents(6))
    path.unlink()
    path.symlink_to(precious)
    save_checkpoint(path, contents(7))
    assert precious.read_text() == "mine"
    assert load_checkpoint(path)["update"] == 7
