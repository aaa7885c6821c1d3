"""What only a process of its own shows."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rnnbench.records import read_summary

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "rnnbench"]


@pytest.fixture
def environment():
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH")) if part)
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


def test_nothing_but_a_run_imports_torch(environment, tmp_path):
    script = """
import sys
from rnnbench.cli import main
for words in ("--version", "--help", "list", "list optim hf", "list keys", "train --help", "train --cfg job",
              "train --info searchpath", "train optim.lr=1", "train -m seed=1,x", "-sc query=bash",
              "bench --help", "bench nope"):
    try:
        main(words.split())
    except SystemExit as ended:
        assert not ended.code, words
    assert "torch" not in sys.modules, words
    assert "tensorboard" not in sys.modules, words
    assert "rich" not in sys.modules, words
"""
    done = subprocess.run([sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def gone():
    """A pipe whose reading end is closed before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


SHOWN = ["list", "--version", "train --cfg job", "report --help"]
TINY = ["optim=sgd", "model.hidden_size=5", "task.sequence_length=10", "budget.updates=3"]
needs_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")


@pytest.mark.parametrize("words", SHOWN)
def test_a_reader_that_goes_away(words, environment, tmp_path, gone):
    command = [*COMMAND, *words.split()]
    done = subprocess.run(command, env=environment, cwd=tmp_path, stdout=gone, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@needs_full
@pytest.mark.parametrize("words", SHOWN)
def test_a_result_that_cannot_be_written(words, environment, tmp_path):
    command = [*COMMAND, *words.split()]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, env=environment, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (
        1,
        "rnnbench: cannot write to standard output: no space left on device\n",
    )


@needs_full
def test_a_run_ends_whatever_becomes_of_its_messages(environment, tmp_path, gone):
    ascii_alone = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [*COMMAND, "train", *TINY, "hydra.run.dir='ü'", "name='ü'"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, env={**environment, **ascii_alone}, cwd=tmp_path, stdout=full, stderr=gone)
    assert done.returncode == 0
    summary = read_summary(tmp_path / "ü")
    assert (summary.status, summary.config["name"], summary.updates) == ("budget", "ü", 3)


def test_bad_input(environment, tmp_path):
    done = subprocess.run([*COMMAND, "train", "sead=3"], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "rnnbench: there is no key sead; did you mean seed?\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_completion_in_bash(environment, tmp_path):
    executable = tmp_path / "rnnbench"
    executable.write_text(
        f"#!{sys.executable}\nimport sys\nfrom rnnbench.cli import main\nsys.exit(main())\n", encoding="utf-8"
    )
    executable.chmod(0o755)
    script = """
eval "$(rnnbench -sc install=bash)"
COMP_LINE="rnnbench train optim=n" COMP_POINT=22 COMP_CWORD=2
hydra_bash_completion
echo "${COMPREPLY[@]}"
"""
    path = f"{tmp_path}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], env={**environment, "PATH": path}, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.split() == ["optim=nag"], done.stderr
