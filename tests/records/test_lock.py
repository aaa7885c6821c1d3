"""Locks that other processes hold, and that end with them."""

import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from rnnbench.records.errors import MachineError, RecordError
from rnnbench.records.lock import LockedError, locked, locked_folder

HOLD = """
import sys
from pathlib import Path
from rnnbench.records.lock import locked
with locked(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holder(path):
    """A process that holds a lock until it is told or killed."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def refusal(path, what):
    """What is said to who wants a lock that is held."""
    with pytest.raises(LockedError) as caught, locked(path, what):
        pass
    return str(caught.value)


def test_held_by_another_process(tmp_path):
    path = tmp_path / ".lock"
    with holder(path) as process:
        assert refusal(path, "the folder x") == (
            f"the folder x is locked by process {process.pid} on {socket.gethostname()}; "
            "wait until it ends, or stop it first"
        )
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert path.read_text() == f"process {process.pid} on {socket.gethostname()}\n"
        with locked(path, "the folder x"):
            assert path.read_text() == f"process {os.getpid()} on {socket.gethostname()}\n"


def test_held_twice_by_the_same_process(tmp_path):
    with locked(tmp_path / "a", "a"), locked(tmp_path / "b", "b"):
        assert refusal(tmp_path / "a", "a").startswith(f"a is locked by process {os.getpid()} on")
    with locked(tmp_path / "a", "a"):
        pass


def test_a_holder_without_a_name(tmp_path):
    """As one that has the lock and has not written its name yet."""
    with open(tmp_path / "a", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert refusal(tmp_path / "a", "a").startswith("a is locked by another process;")


def test_let_go_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "a", "a"):
        raise ZeroDivisionError
    with locked(tmp_path / "a", "a"):
        pass


def test_waiting(tmp_path):
    order = []
    begun = threading.Event()

    def second():
        begun.set()
        with locked(tmp_path / "a", "a", wait=True):
            order.append("second")

    thread = threading.Thread(target=second)
    with locked(tmp_path / "a", "a", wait=True):
        thread.start()
        assert begun.wait(20)
        thread.join(0.05)
        assert thread.is_alive()
        order.append("first")
    thread.join(20)
    assert order == ["first", "second"]


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks(tmp_path, monkeypatch, capsys, number):
    def refuse(handle, operation):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path / "a", "a") as first, locked(tmp_path / "a", "a", wait=True) as second:
        assert (first, second) == (False, False)
    with locked_folder(tmp_path), locked_folder(tmp_path):
        warning = f"rnnbench: {tmp_path} is on a file system without locks: do not run a second command on it\n"
        assert capsys.readouterr().err == 2 * warning


def test_a_full_disk_costs_the_name_alone(tmp_path, monkeypatch):
    def refuse(descriptor, data, offset):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", refuse)
    with locked(tmp_path / "a", "a"):
        assert "another process" in refusal(tmp_path / "a", "a")


def test_the_file_cannot_be_made(tmp_path, monkeypatch):
    with (
        pytest.raises(RecordError, match=r"cannot write .*none/\.lock: no such file or directory"),
        locked(tmp_path / "none" / ".lock", "it"),
    ):
        pass

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(MachineError, match="read-only file system"), locked(tmp_path / ".lock", "it"):
        pass


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path, other: path.symlink_to(other), "it is a symbolic link"),
        (lambda path, other: path.symlink_to(path.parent / "nowhere"), "it is a symbolic link"),
        (lambda path, other: os.mkfifo(path), "it is not a regular file"),
        (lambda path, other: path.mkdir(), "is a directory"),
    ],
    ids=["link", "dangling link", "pipe", "folder"],
)
def test_something_else_in_its_place(tmp_path, make, message):
    other = tmp_path / "other"
    other.write_text("mine")
    make(tmp_path / ".lock", other)
    with pytest.raises(RecordError, match=message), locked(tmp_path / ".lock", "it"):
        pass
    assert other.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_what_another_program_keeps_in_the_file_stays(tmp_path):
    path = tmp_path / ".lock"
    path.write_text("process of mine\n")
    with locked(path, "it") as is_held:
        assert is_held
        assert "another process" in refusal(path, "it")
    assert path.read_text() == "process of mine\n"
