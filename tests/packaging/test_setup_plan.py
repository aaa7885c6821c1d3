from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from setup_plan import (
    CPU_INDEX,
    Action,
    State,
    Wanted,
    choose_action,
    new_enough,
    torch_attempts,
    torch_requirement,
)

READY = State(root="/a", python="3.11", pyproject="p", extras=("dev",), complete=True)
WANTED = Wanted(root="/a", pyproject="p")


@pytest.mark.parametrize(
    ("wanted", "state", "python", "occupied", "action"),
    [
        (WANTED, None, None, False, Action.CREATE),
        (WANTED, READY, "3.11", True, Action.NOTHING),
        (replace(WANTED, extras=("dev",)), READY, "3.11", True, Action.NOTHING),
        (replace(WANTED, extras=("dev",)), replace(READY, extras=()), "3.11", True, Action.INSTALL),
        (replace(WANTED, pyproject="edited"), READY, "3.11", True, Action.INSTALL),
        (WANTED, replace(READY, complete=False), "3.11", True, Action.CREATE),
        (replace(WANTED, root="/moved"), READY, "3.11", True, Action.CREATE),
        (WANTED, READY, None, True, Action.CREATE),  # the Python it was made from is gone
        (WANTED, READY, "3.12", True, Action.CREATE),  # or was replaced by another
        (replace(WANTED, python="3.12"), READY, "3.11", True, Action.CREATE),
        (replace(WANTED, python="3.11"), READY, "3.11", True, Action.NOTHING),
        (replace(WANTED, torch="torch==2.9"), READY, "3.11", True, Action.CREATE),
        (replace(WANTED, torch="torch==2.9"), replace(READY, torch="torch==2.9"), "3.11", True, Action.NOTHING),
        (WANTED, replace(READY, torch="torch==2.9"), "3.11", True, Action.NOTHING),
        # A .venv of somebody else's
        (WANTED, None, "3.11", True, Action.INSTALL),
        (WANTED, None, None, True, Action.REFUSE),
        (replace(WANTED, python="3.12"), None, "3.11", True, Action.REFUSE),
        (WANTED, replace(READY, own=False), "3.11", True, Action.NOTHING),
        (WANTED, replace(READY, own=False, complete=False), "3.11", True, Action.INSTALL),
        (WANTED, replace(READY, own=False), None, True, Action.REFUSE),
    ],
)
def test_choice_of_action(wanted, state, python, occupied, action):
    assert choose_action(wanted, state, python, occupied=occupied) is action


names = st.sampled_from(["", "x", "y"])
versions = st.sampled_from(["3.11", "3.12"])
extras = st.sampled_from([(), ("dev",)])
states = st.builds(
    State,
    root=names,
    python=versions,
    pyproject=names,
    extras=extras,
    torch=names,
    own=st.booleans(),
    complete=st.booleans(),
)
wishes = st.builds(
    Wanted,
    root=names,
    pyproject=names,
    extras=extras,
    python=st.none() | versions,
    torch=st.none() | st.sampled_from(["x", "y"]),
)


@settings(max_examples=300)
@given(wanted=wishes, state=st.none() | states, python=st.none() | versions)
def test_only_what_the_scripts_made_is_deleted_and_only_what_is_complete_is_used(wanted, state, python):
    action = choose_action(wanted, state, python, occupied=True)
    if action is Action.CREATE:
        assert state is not None
        assert state.own
    if action is Action.NOTHING:
        assert state is not None
        assert state.complete
        assert python in (wanted.python or python, state.python)
        assert (state.root, state.pyproject) == (wanted.root, wanted.pyproject)


def attempts(**changes):
    defaults = {"override": None, "system": "Linux", "has_nvidia": False}
    return torch_attempts("torch>=2.6", **defaults | changes)


def test_linux_without_nvidia_tries_every_cpu_build_before_the_default_one():
    find_links, index, default = attempts()
    assert "--no-index" in find_links.arguments
    assert CPU_INDEX in index.arguments
    for attempt in (find_links, index):
        assert attempt.arguments[-1].endswith("+cpu")
        assert "--no-deps" in attempt.arguments
    assert default.arguments == ("torch>=2.6",)
    assert "GB" in default.what
    assert "RNNBENCH_TORCH" in default.what


@pytest.mark.parametrize("machine", [{"system": "Darwin"}, {"has_nvidia": True}])
def test_other_machines_get_the_default_build(machine):
    assert [attempt.arguments for attempt in attempts(**machine)] == [("torch>=2.6",)]


@pytest.mark.parametrize("machine", [{}, {"system": "Darwin"}, {"has_nvidia": True}])
def test_the_override_wins_and_is_split_as_a_shell_would(machine):
    (attempt,) = attempts(override="--find-links '/my wheels' torch==2.9.1", **machine)
    assert attempt.arguments == ("--find-links", "/my wheels", "torch==2.9.1")


@pytest.mark.parametrize(
    ("version", "answer"),
    [("2.13.0+cpu", True), ("2.6.0", True), ("2.10.0a0+git1", True), ("3.0", True), ("2.5.1", False), ("1.13", False)],
)
def test_versions_compare_as_numbers(version, answer):
    assert new_enough(version, "torch>=2.6") is answer


@pytest.mark.parametrize("version", [None, "", "broken"])
def test_no_version_is_not_new_enough(version):
    assert not new_enough(version, "torch>=2.6")


def test_requirement_on_torch_is_read_from_pyproject():
    text = '[project]\ndependencies = ["torchvision>=0.1", "torch-x", "numpy", "torch>=2.7,<3"]'
    assert torch_requirement(text) == "torch>=2.7,<3"
