"""The shell scripts, with stand-ins for Python that answer the version check and write down the rest."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "dirname", "readlink")


class Checkout:
    def __init__(self, folder):
        self.root = folder / "check out"
        shutil.copytree(ROOT / "scripts", self.root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
        self.path = folder / "bin"
        self.path.mkdir()
        for tool in TOOLS:
            (self.path / tool).symlink_to(shutil.which(tool))
        self.log = folder / "log"
        self.log.touch()

    def program(self, place, script):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"#!/bin/sh\n{script}\n")
        place.chmod(0o755)
        return place

    def python(self, name, *, supported=True, folder=None):
        """Stand-in for a Python: `-c` is the version check, anything else is written down."""
        script = f'[ "$2" = -c ] && exit {0 if supported else 1}\necho "{name} $*" >> "{self.log}"'
        return self.program((folder or self.path) / name, script)

    def run(self, script="rnnbench", *arguments, cwd="/", **environment):
        command = [script if "/" in str(script) else self.root / "scripts" / script, *arguments]
        environment = {"PATH": str(self.path), **environment}
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)

    def lines(self):
        return self.log.read_text().splitlines()


@pytest.fixture
def checkout(tmp_path):
    made = Checkout(tmp_path)
    made.program(made.root / ".venv" / "bin" / "rnnbench", f'echo "rnnbench $*" >> "{made.log}"\nexit 7')
    return made


def test_command_runs_after_the_set_up_with_its_arguments_and_status(checkout):
    checkout.python("python3")
    result = checkout.run("rnnbench", "train", "name=a b")
    assert result.returncode == 7
    assert result.stdout == result.stderr == ""
    set_up, command = checkout.lines()
    assert set_up.startswith("python3 -I ")
    assert command == "rnnbench train name=a b"


def test_tests_run_in_the_root_with_the_development_tools(checkout):
    checkout.python("python", folder=checkout.root / ".venv" / "bin")
    assert checkout.run("test", "-k", "one or two").returncode == 0
    set_up, pytest_call = checkout.lines()
    assert set_up.endswith(" dev")
    assert pytest_call == "python -m pytest -k one or two"


def test_gpu_check_runs_in_the_root_with_the_development_tools(checkout):
    checkout.python("python", folder=checkout.root / ".venv" / "bin")
    assert checkout.run("gpu_check", "precision", "--device", "cuda:1").returncode == 0
    set_up, check = checkout.lines()
    assert set_up.endswith(" dev")
    assert check == "python -m benchmarks.gpu_check precision --device cuda:1"


def test_all_tests_are_shared_by_the_processors(checkout):
    python = checkout.program(
        checkout.root / ".venv" / "bin" / "python", f'echo "$OMP_NUM_THREADS $*" >> "{checkout.log}"'
    )
    for environment in ({}, {"OMP_NUM_THREADS": "3"}):
        assert checkout.run("test", PYTHON=str(python), **environment).returncode == 0
    calls = [line for line in checkout.lines() if " -m pytest" in line]
    assert calls == [f"{threads} -m pytest -n auto --maxprocesses 8 --dist worksteal" for threads in (1, 3)]


def test_a_failed_set_up_ends_with_its_status(checkout):
    checkout.program(checkout.path / "python3", '[ "$2" = -c ] && exit 0\nexit 2')
    assert checkout.run().returncode == 2
    assert checkout.lines() == []


def test_the_python_of_the_venv_comes_first(checkout):
    checkout.python("python3")
    checkout.python("python", folder=checkout.root / ".venv" / "bin")
    checkout.run()
    assert checkout.lines()[0].startswith("python -I")


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        ({"python3": True, "python3.13": True}, "python3"),
        ({"python3": False, "python3.12": True, "python3.11": True}, "python3.12"),
        ({"python3.13": False, "python": True}, "python"),
    ],
)
def test_the_first_supported_python_is_taken(checkout, names, chosen):
    for name, supported in names.items():
        checkout.python(name, supported=supported)
    checkout.run()
    assert checkout.lines()[0].startswith(f"{chosen} -I")


@pytest.mark.parametrize(
    ("version", "supported"),
    [((2, 7), False), ((3, 10), False), ((3, 11), True), ((3, 12), True), ((3, 13), True), ((3, 14), False)],
)
def test_version_check_agrees_with_the_package(version, supported, monkeypatch):
    (check,) = re.findall("^supported='(.*)'$", (ROOT / "scripts" / "bootstrap" / "run").read_text(), re.MULTILINE)
    monkeypatch.setattr("sys.version_info", (*version, 0))
    with pytest.raises(SystemExit) as status:
        exec(check)
    assert (status.value.code == 0) is supported
    classifier = "Python :: {}.{}".format(*version)
    assert (classifier in (ROOT / "pyproject.toml").read_text()) is supported


def test_no_supported_python_is_one_line(checkout):
    checkout.python("python3", supported=False)
    result = checkout.run()
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "3.11, 3.12 or 3.13" in result.stderr


def test_named_python_is_taken_or_refused(checkout, tmp_path):
    checkout.python("python3")
    named = checkout.python("mine", folder=tmp_path / "with space")
    checkout.run(PYTHON=str(named))
    assert checkout.lines()[0].startswith("mine -I")
    old = checkout.python("old", supported=False)
    result = checkout.run(PYTHON=str(old))
    assert result.returncode == 2
    assert result.stderr == f"rnnbench: PYTHON={old} is no Python 3.11, 3.12 or 3.13\n"


def test_a_link_to_the_script_works_from_anywhere(checkout, tmp_path):
    checkout.python("python3")
    link = tmp_path / "link"
    link.symlink_to(checkout.root / "scripts" / "rnnbench")
    assert checkout.run(link, "list", cwd=tmp_path).returncode == 7
    assert checkout.lines()[-1] == "rnnbench list"


def test_set_up_prints_one_line_where_it_cannot_write(checkout):
    """The real set-up, under the Python of the tests, in a checkout whose lock cannot be made."""
    shutil.copy(ROOT / "pyproject.toml", checkout.root)
    shutil.rmtree(checkout.root / ".venv")
    (checkout.root / ".venv.lock").mkdir()
    result = checkout.run(PYTHON=sys.executable)
    assert result.returncode == 2
    assert result.stderr.startswith("rnnbench: cannot set up .venv: ")
    assert result.stderr.count("\n") == 1
