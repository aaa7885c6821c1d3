"""`rnnbench check` on a folder of one's own: what it prints, and its exit status."""

import re
import sys

import pytest
from documents import own_code

from rnnbench.cli import main


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Check a task of one's own in which something is changed; the exit status and what was printed."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)

    def call(*words, old="", new=""):
        module = f"first_{abs(hash((old, new)))}"
        (tmp_path / "my/task").mkdir(parents=True)
        code = own_code("task/first_value")
        assert old in code
        (tmp_path / f"my/{module}.py").write_text(code.replace(old, new) if old else code)
        settings = f"name: first\n_target_: {module}.FirstValue\nsequence_length: 5\n"
        (tmp_path / "my/task/first.yaml").write_text(settings)
        capsys.readouterr()
        status = main(["check", "--config-dir", "my", *words])
        return status, capsys.readouterr()

    return call


def test_all_laws_hold(check, tmp_path):
    status, said = check()
    assert (status, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == "checking task=first"
    assert all(re.fullmatch(r"holds   task=first: .* \(\d+\.\d\d s\)", line) for line in lines[1:-1])
    assert "a resumed run is the uninterrupted one, bit for bit" in lines[-2]
    assert lines[-1] == f"{len(lines) - 2} hold, 0 fail, 0 do not apply"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my"]


def test_a_law_fails_at_its_smallest_size(check):
    status, said = check(
        "task=first", old="targets=inputs[:1].clone())", new="targets=(inputs - inputs.mean(2, keepdim=True))[:1])"
    )
    assert status == 1
    failed = said.out[said.out.index("FAILS") :].splitlines()
    assert failed[0].startswith("FAILS   task=first: a row is the same in any batch (")
    assert failed[1] == (
        "        rows 10 to 10 drawn alone and among 2: targets differ (R=1, B=1, T=1, n=1). "
        "Another batch size would give other data; draw each row from its own random words."
    )


def test_what_cannot_be_built_fails_alone(check):
    status, said = check(old="baseline_loss = 1 / 12", new="pass")
    assert status == 1
    assert "task: FirstValue has no attribute baseline_loss (loss of the best predictor" in said.out
    assert said.out.endswith("0 hold, 1 fail, 0 do not apply\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task=nothing"], "task has no choice 'nothing'"),
        (["first"], "first"),
        (["task=first", "task.lenth=3"], "task.lenth"),
    ],
)
def test_bad_input(check, words, message):
    status, said = check(*words)
    assert status == 2
    assert message in said.err
    assert said.err.count("\n") == 1


def test_nothing_to_check(tmp_path, capsys):
    assert main(["check"]) == 2
    assert (
        "nothing to check: no --config-dir is given; name a folder, or choices as in task=adding"
        in capsys.readouterr().err
    )
    assert main(["check", "--config-dir", str(tmp_path)]) == 2
    assert main(["check", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: rnnbench check --config-dir DIR")
