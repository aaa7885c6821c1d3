"""Streams that are closed, full, without a reader or of another encoding: what they cost is what is not shown."""

import errno
import os
import pty
import subprocess
import sys

import pytest

from rnnbench.run.streams import use_utf8

FULL = "/dev/full"
needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason="there is no /dev/full")

SCRIPT = """
import logging, os, sys
from rnnbench.run.streams import LogFile, output_error, prepare_streams
prepare_streams()
log = LogFile({log!r})
logging.getLogger().addHandler(log)
assert all(os.fstat(number) for number in range(3))  # no file that is opened later gets one of theirs
for number in range(2):
    print("out", number, chr(0xFC), chr(0xDCFF), flush=True)
    print("err", number, chr(0xFC), chr(0xDCFF), file=sys.stderr)
    logging.error("%s", chr(0xDCFF))
assert sys.stdin.read() == ""
log.close()
error = output_error()
with open("error", "w") as file:
    file.write(str(error and error.errno))
"""


def run_script(folder, redirections="", stdout=None, stderr=None):
    """What `output_error` says at the end of a script that writes to both streams, and ends as planned."""
    script = SCRIPT.format(log=FULL if os.path.exists(FULL) else os.devnull)
    command = ["sh", "-c", f'exec "$@" {redirections}', "sh", sys.executable, "-c", script]
    subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, check=True)
    return (folder / "error").read_text()


@pytest.mark.parametrize("redirections", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
def test_closed(tmp_path, redirections):
    assert run_script(tmp_path, redirections) == "None"


@needs_full
def test_full(tmp_path):
    assert run_script(tmp_path, f">{FULL} 2>{FULL}") == str(errno.ENOSPC)


def test_the_reader_has_gone(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert run_script(tmp_path, stdout=writing, stderr=writing) == "None"
    finally:
        os.close(writing)


def test_the_terminal_has_gone(tmp_path):
    master, slave = pty.openpty()
    os.close(master)
    try:
        assert run_script(tmp_path, stdout=slave, stderr=slave) == "None"
    finally:
        os.close(slave)


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", "ü".encode()), ("ascii", rb"\xfc")])
def test_characters_that_cannot_be_encoded(tmp_path, monkeypatch, encoding, shown):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    run_script(tmp_path, ">out 2>err")
    for name in ("out", "err"):
        first = (tmp_path / name).read_bytes().splitlines()[0]
        assert first == name.encode() + b" 0 " + shown + rb" \udcff"


def test_a_full_pipe_that_does_not_block(tmp_path):
    """What is written waits for its reader, as on a pipe that blocks."""
    script = "from rnnbench.run.streams import prepare_streams; prepare_streams(); print('x' * 1_000_000)"
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with subprocess.Popen([sys.executable, "-c", script], stdout=writing), os.fdopen(reading, "rb") as reader:
        os.close(writing)
        assert reader.read() == b"x" * 1_000_000 + b"\n"


def test_ascii_is_not_the_encoding_of_names(monkeypatch):
    begun = []
    monkeypatch.setattr(os, "execv", lambda *arguments: begun.append(arguments))
    monkeypatch.setenv("PYTHONUTF8", "0")
    use_utf8()
    assert begun == []
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    use_utf8()
    assert begun == [(sys.executable, sys.orig_argv)]
    use_utf8()  # in the process that has begun
    assert len(begun) == 1
