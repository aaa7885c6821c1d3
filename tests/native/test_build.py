"""The library is compiled once and found again; whatever fails, the reference serves and the reason is said."""

import errno
import re
import shutil
import threading

import pytest
import torch

from rnnbench.cli import main
from rnnbench.models.base import BlockShape
from rnnbench.models.native_sweeps import NativeSweeps
from rnnbench.models.simple_rnn import SimpleRnn
from rnnbench.models.step_sweeps import StepSweeps
from rnnbench.native import build, library

CPU = torch.device("cpu")


@pytest.fixture
def said(monkeypatch, tmp_path):
    """What the user is told; the cache is empty, and nothing is loaded."""
    lines = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RNNBENCH_NATIVE", raising=False)
    monkeypatch.setattr(library, "_announce", lines.append)
    library.forget()
    yield lines
    library.forget()


@pytest.fixture(scope="module")
def compiled():
    """The real library, in the user's own cache."""
    found = []
    try:
        build.library("srn", lambda path: found.append(path.read_bytes()), lambda line: None)
    except build.UnavailableError as error:
        pytest.skip(str(error))
    return found[0]


@pytest.fixture
def compiler(compiled, monkeypatch, tmp_path):
    """A compiler that is quick: it copies the library. Returns the file that has a line for each compilation."""
    (tmp_path / "library").write_bytes(compiled)
    calls = tmp_path / "calls"
    calls.write_text("")
    write_compiler(
        tmp_path / "compiler",
        f'echo called >> {calls}\nwhile [ "$1" != -o ]; do shift; done\ncp {tmp_path / "library"} "$2"',
        monkeypatch,
    )
    return calls


def write_compiler(path, script, monkeypatch):
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("CXX", str(path))


def sweeps():
    library.forget()
    return type(SimpleRnn(2, 1, 4).sweeps(BlockShape(1, 2, 3, torch.float32, CPU)))


def libraries(tmp_path):
    return [path for path in (tmp_path / "cache" / "rnnbench").iterdir() if path.suffix == ".so"]


def test_compiled_once(said, compiler, tmp_path):
    assert sweeps() is sweeps() is NativeSweeps
    assert compiler.read_text().splitlines() == ["called"]
    assert len(said) == 1
    assert "compiling the kernels for this processor, once" in said[0]
    assert len(libraries(tmp_path)) == 1


def test_other_processors_and_flags_get_their_own(said, compiler, tmp_path, monkeypatch):
    sweeps()
    monkeypatch.setattr(build, "_processor", lambda: ["another"])
    sweeps()
    monkeypatch.setenv("RNNBENCH_NATIVE_FLAGS", "-O1")
    sweeps()
    assert len(libraries(tmp_path)) == len(compiler.read_text().splitlines()) == 3


@pytest.mark.parametrize("content", [b"", b"not a library"])
def test_damaged_library_is_compiled_again(content, said, compiler, tmp_path):
    sweeps()
    libraries(tmp_path)[0].unlink()  # not overwritten: this process has it loaded
    (tmp_path / "cache" / "rnnbench").joinpath(f"srn-{key_of(compiler, tmp_path)}.so").write_bytes(content)
    assert sweeps() is NativeSweeps
    assert len(compiler.read_text().splitlines()) == 2


def key_of(compiler, tmp_path):
    (lock,) = (tmp_path / "cache" / "rnnbench").glob("*.lock")
    return lock.name.removeprefix("srn-").removesuffix(".so.lock")


def test_two_at_once_compile_once(said, compiler, tmp_path):
    done = []

    def fails_before(path):
        if not path.exists():
            raise OSError
        done.append(path)

    threads = [threading.Thread(target=build.library, args=("srn", fails_before, said.append)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 2
    assert len(compiler.read_text().splitlines()) == 1


def test_cache_that_cannot_be_written(said, compiler, tmp_path, monkeypatch):
    """As in a read-only home, or on a full disk: the library serves this process."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert sweeps() is NativeSweeps
    assert len(said) == 2
    assert "not kept for the next run: " in said[1]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo 'x.cpp:3: error: boom' >&2; exit 1", "compiler fails: x.cpp:3: error: boom"),
        ("echo 'ld: final link failed: No space left on device' >&2; exit 1", "No space left on device"),
        ("exit 0", "compiler fails: it says nothing"),
        ("kill -9 $$", "compiler fails"),
        ('while [ "$1" != -o ]; do shift; done; echo junk > "$2"', "the compiled kernels cannot be loaded"),
    ],
)
def test_compiler_that_fails(script, reason, said, tmp_path, monkeypatch):
    write_compiler(tmp_path / "compiler", script, monkeypatch)
    assert sweeps() is StepSweeps
    name = SimpleRnn(2, 1, 4).backend_name(CPU, torch.float32)
    assert name.startswith("torch, since ")
    assert reason in name
    assert name.endswith("(an update takes about twice the time)")
    assert "\n" not in name


def test_no_room_to_compile(said, compiler, monkeypatch):
    def refuse(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(build.tempfile, "TemporaryDirectory", refuse)
    assert sweeps() is StepSweeps
    assert library.unavailable_reason("srn") == "there is no temporary folder to compile in (No space left on device)"


def test_no_compiler(said, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert sweeps() is StepSweeps
    assert "no C++ compiler was found (c++, g++, clang++)" in library.unavailable_reason("srn")
    with pytest.raises(ValueError, match=r"model\.recurrence=native: no C\+\+ compiler .*; use model\.recurrence=auto"):
        SimpleRnn(2, 1, 4, recurrence="native").backend_name(CPU, torch.float32)


def test_switched_off(said, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("RNNBENCH_NATIVE", "0")
    assert sweeps() is StepSweeps
    assert library.unavailable_reason("srn") == "RNNBENCH_NATIVE=0"
    assert said == []
    words = ["task.sequence_length=8", "model.hidden_size=4", "optim=nag", "threads=1"]
    assert main(["train", *words, "probe=none", "budget.updates=1", f"hydra.run.dir={tmp_path / 'run'}"]) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "MiB of memory" in line]
    assert "1 thread, sweeps by torch, since RNNBENCH_NATIVE=0 (an update takes about twice the time), about" in line


@pytest.mark.parametrize("command", [["train", "task.sequence_length=8"], ["bench"], ["probe", "."]])
def test_switch_without_meaning(command, said, monkeypatch, capsys):
    monkeypatch.setenv("RNNBENCH_NATIVE", "maybe")
    assert main(command) == 2
    line = "RNNBENCH_NATIVE must be 0 (compute without native kernels), 1 or unset, got 'maybe'"
    assert capsys.readouterr().err == f"rnnbench: {line}\n"
    with pytest.raises(ValueError, match=re.escape(line)):
        sweeps()


@pytest.mark.parametrize("variable", ["CXX", "RNNBENCH_NATIVE_FLAGS"])
def test_unclosed_quotation(variable, said, monkeypatch):
    monkeypatch.setenv(variable, "'unclosed")
    assert sweeps() is StepSweeps
    assert library.unavailable_reason("srn") == f"{variable} cannot be read (No closing quotation)"
