import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from setup_plan import Action
from setup_steps import STATE_FILE, Setup, SetupError, clear, read_state

BOOTSTRAP = Path(__file__).parents[2] / "scripts" / "bootstrap"
VERSION = "{}.{}".format(*sys.version_info)


class FakeSetup(Setup):
    """Runs no step: writes down each, and lets those fail, or be interrupted, whose announcement holds a given word."""

    def __init__(self, root, extras=(), environment=None, *, failing=(), interrupted=None, machine_torch=None):
        super().__init__(root, extras, environment or {})
        self.steps = []
        self.failing, self.interrupted, self.machine_torch = failing, interrupted, machine_torch

    def step(self, what, *command):
        self.steps.append([str(part) for part in command])
        if self.interrupted and self.interrupted in what:
            raise KeyboardInterrupt
        if any(word in what for word in self.failing):
            self.error = "ERROR: as the test says"
            return False
        if "venv" in command:
            self.python.parent.mkdir(parents=True)
            self.python.touch()
        return True

    def ask(self, python, program):
        if "torch" in program:
            return self.machine_torch
        return VERSION if python.exists() else None

    def installed(self):
        return [command[command.index("install") + 1 :] for command in self.steps if "install" in command]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = ["torch>=2.6"]\n')
    return tmp_path


def test_first_call_makes_and_installs_and_later_calls_do_nothing(root):
    first = FakeSetup(root)
    first.run()
    assert "venv" in first.steps[0]
    assert first.installed()[-1] == ["-e", "."]
    again = FakeSetup(root)
    again.run()
    assert again.steps == []


def test_nothing_is_written_when_up_to_date(root):
    FakeSetup(root).run()
    (root / ".venv.lock").unlink()
    FakeSetup(root).run()
    assert not (root / ".venv.lock").exists()


def test_extra_is_added_once_and_kept_when_pyproject_changes(root):
    FakeSetup(root).run()
    with_extra = FakeSetup(root, ["dev"], machine_torch="2.13.0")
    with_extra.run()
    assert with_extra.installed() == [["-e", ".[dev]"]]
    (root / "pyproject.toml").write_text('[project]\ndependencies = ["torch>=2.7"]\n')
    after_edit = FakeSetup(root, machine_torch="2.13.0")
    after_edit.run()
    assert after_edit.installed() == [["-e", ".[dev]"]]
    assert FakeSetup(root, ["dev"]).action() is Action.NOTHING


@pytest.mark.parametrize("step", ["making .venv", "CPU build", "rnnbench"])
def test_an_interrupted_set_up_starts_over(root, step):
    with pytest.raises(KeyboardInterrupt):
        FakeSetup(root, interrupted=step).run()
    rubbish = root / ".venv" / "half-written"
    rubbish.touch()
    second = FakeSetup(root)
    second.run()
    assert "venv" in second.steps[0]
    assert not rubbish.exists()
    assert FakeSetup(root).action() is Action.NOTHING


def test_an_interrupted_addition_starts_over_too(root):
    FakeSetup(root).run()
    with pytest.raises(KeyboardInterrupt):
        FakeSetup(root, ["dev"], interrupted="rnnbench").run()
    assert FakeSetup(root).action() is Action.CREATE


@pytest.mark.parametrize("step", ["making .venv", "rnnbench"])
def test_a_failed_step_names_pips_error_and_is_not_taken_for_done(root, step):
    with pytest.raises(SetupError, match="as the test says"):
        FakeSetup(root, failing=[step]).run()
    assert FakeSetup(root).action() is Action.CREATE


def test_torch_is_tried_in_turn_until_one_way_works(root, monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("shutil.which", lambda name: None)
    setup = FakeSetup(root, failing=["find-links"])
    setup.run()
    local, index, package = setup.installed()
    assert "--no-index" in local
    assert "--index-url" in index
    assert package == ["-e", "."]
    with pytest.raises(SetupError, match=r"torch could not be installed.*RNNBENCH_TORCH"):
        FakeSetup(root, environment={"RNNBENCH_TORCH": "torch==0"}, failing=["torch"]).run()


@pytest.mark.parametrize(("version", "used"), [("2.9.1", True), ("2.1.0", False)])
def test_a_torch_of_the_machine_is_used_if_new_enough(root, version, used):
    setup = FakeSetup(root, machine_torch=version)
    setup.run()
    assert ("--system-site-packages" in setup.steps[0]) is used
    assert (len(setup.installed()) == 1) is used


def test_the_override_is_installed_beside_a_torch_of_the_machine(root):
    environment = {"RNNBENCH_TORCH": "torch==2.9.1"}
    setup = FakeSetup(root, environment=environment)
    setup.run()
    assert "--system-site-packages" not in setup.steps[0]
    assert setup.installed()[0] == ["torch==2.9.1"]
    assert FakeSetup(root, environment=environment).action() is Action.NOTHING


def test_a_venv_of_somebody_elses_is_used_and_never_deleted(root):
    theirs = root / ".venv" / "bin" / "python"
    theirs.parent.mkdir(parents=True)
    theirs.touch()
    with pytest.raises(KeyboardInterrupt):
        FakeSetup(root, interrupted="rnnbench").run()
    setup = FakeSetup(root)
    setup.run()
    assert theirs.exists()
    assert not any("venv" in command for command in setup.steps)
    assert not read_state(root / ".venv").own


def test_a_folder_that_is_no_venv_is_refused(root):
    (root / ".venv").mkdir()
    (root / ".venv" / "thesis.tex").touch()
    with pytest.raises(SetupError, match="move it away"):
        FakeSetup(root).run()
    assert (root / ".venv" / "thesis.tex").exists()


def test_clear_keeps_the_state_and_what_links_lead_to(tmp_path):
    venv, outside = tmp_path / "venv", tmp_path / "outside"
    venv.mkdir()
    outside.mkdir()
    (outside / "kept").touch()
    (venv / "lib").mkdir()
    (venv / "lib" / "module.py").touch()
    (venv / "lib64").symlink_to(outside)
    (venv / STATE_FILE).touch()
    clear(venv)
    assert [entry.name for entry in venv.iterdir()] == [STATE_FILE]
    assert (outside / "kept").exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"root": 1}', "\0"])
def test_a_state_that_cannot_be_read_counts_as_none(tmp_path, text):
    (tmp_path / STATE_FILE).write_text(text)
    assert read_state(tmp_path) is None


def test_steps_see_no_packages_from_elsewhere(root):
    setup = Setup(root, [], {"PYTHONPATH": "/x", "PIP_TARGET": "/x", "PIP_USER": "1", "HTTPS_PROXY": "kept"})
    assert not {"PYTHONPATH", "PIP_TARGET"} & set(setup.environment)
    assert setup.environment["PIP_USER"] == "0"
    assert setup.environment["HTTPS_PROXY"] == "kept"


def test_pip_keeps_no_cache_where_home_cannot_be_written(root):
    assert "PIP_NO_CACHE_DIR" not in Setup(root, [], {"HOME": str(root)}).environment
    assert "PIP_NO_CACHE_DIR" in Setup(root, [], {"HOME": str(root / "missing")}).environment
    assert "PIP_NO_CACHE_DIR" in Setup(root, [], {}).environment


def test_a_step_reports_the_last_error_line(root):
    setup = Setup(root, [], os.environ)
    setup.venv.mkdir()
    assert setup.step("fine", "sh", "-c", "echo fine")
    assert not setup.step(
        "failing",
        "sh",
        "-c",
        "echo Looking; echo 'ERROR: disk full' >&2; echo 'ERROR: for help visit x'; echo bye; exit 3",
    )
    assert setup.error == "ERROR: disk full"
    assert not setup.step("silent", "sh", "-c", "exit 3")
    assert setup.error == "exit status 3"


def test_a_second_call_waits_and_then_finds_the_work_done(root, capfd):
    second = FakeSetup(root)
    with (root / ".venv.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=second.run)
        thread.start()
        printed = ""
        while "waiting" not in printed:
            time.sleep(0.01)
            printed += capfd.readouterr().err
        first = FakeSetup(root)
        first.create()
        first.install()
    thread.join(timeout=60)
    assert first.steps
    assert second.steps == []


def test_a_step_that_outlives_its_killed_call_keeps_the_lock(root):
    program = (
        "import os; from pathlib import Path; from setup_steps import Setup\n"
        "setup = Setup(Path.cwd(), [], os.environ)\n"
        "setup.venv.mkdir()\n"
        "with setup.locked(): setup.step('sleeping', 'sh', '-c', 'echo $$ > pid.new; mv pid.new pid; exec sleep 60')"
    )
    environment = os.environ | {"PYTHONPATH": str(BOOTSTRAP)}
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, env=environment, stderr=subprocess.DEVNULL
    ) as call:
        while not (root / "pid").exists():
            assert call.poll() is None
            time.sleep(0.01)
        call.kill()
    step = int((root / "pid").read_text())
    with (root / ".venv.lock").open("w") as lock:
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.kill(step, signal.SIGKILL)
        fcntl.flock(lock, fcntl.LOCK_EX)  # returns, for the step has ended
