"""The closing summary as a person reads it."""

import dataclasses
import io
import math
import shlex
from pathlib import Path

import pytest

from rnnbench.records.closing import closing_summary, print_closing_summary, program, shortest_path
from rnnbench.records.summary import SolvedAt, Summary

BASE = Summary(
    "solved",
    solved=True,
    solved_at=SolvedAt(19, 212_000, 48.0),
    loss=0.00023,
    error_rate=0.0027,
    baseline_loss=1 / 6,
    baseline_error_rate=0.922,
    updates=21,
    sequences=212_000,
    products=1901,
    seconds=48.4,
    config={"name": "adding_hf", "budget": {"updates": 200, "minutes": None}, "optim": {"damping": 0.1}},
)
UNSOLVED = dataclasses.replace(BASE, status="budget", solved=False, solved_at=None, updates=200, error_rate=0.5)
CWD = Path("/home/ada/work")


def test_solved():
    text = closing_summary(BASE, CWD / "runs/today/one", cwd=CWD).plain
    assert text.splitlines() == [
        "adding_hf: solved at update 19 after 1,901 products, 212,000 sequences, 48 s",
        "              reached  constant predictor",
        "  loss        0.00023               0.167",
        "  error rate   0.27 %              92.2 %",
        "  run folder  runs/today/one",
        "  look at it  tensorboard --logdir runs/today/one",
    ]


def test_below_the_limit_and_not_confirmed():
    summary = dataclasses.replace(UNSOLVED, error_rate=0.009, solved_error_rate=0.01)
    lines = closing_summary(summary, CWD, cwd=CWD).plain.splitlines()
    assert lines[1] == "  The error rate is below the limit of 1.0 % at the end, but not on 10,000 further sequences."
    for other in ({"solved_error_rate": None}, {"error_rate": 0.01}, {"status": "interrupted"}, {"solved": True}):
        text = closing_summary(dataclasses.replace(summary, **other), CWD, cwd=CWD).plain  # type: ignore[arg-type]
        assert "further sequences" not in text


@pytest.mark.parametrize(
    ("budget", "used", "override"),
    [
        ({"updates": 200}, {}, "budget.updates=400"),
        ({"updates": 1000, "minutes": 5}, {"seconds": 300.5}, "budget.minutes=10"),
        ({"updates": 1000, "minutes": 0.5}, {"seconds": 30.5}, "budget.minutes=1"),
        ({"updates": 1000, "sequences": 212_000}, {}, "budget.sequences=424000"),
        ({"updates": 1000, "sequences": 12_345_678}, {"sequences": 12_345_678}, "budget.sequences=24691356"),
        ({}, {}, "budget.updates=400"),
    ],
)
def test_budget_used_up(budget, used, override):
    summary = dataclasses.replace(UNSOLVED, config={"name": "a", "budget": budget}, **used)
    lines = closing_summary(summary, CWD, cwd=CWD).plain.splitlines()
    assert lines[0].startswith("a: not solved, budget used up after 200 updates, 1,901 products, ")
    assert lines[-1] == f"  try next    a larger budget: {override}"


@pytest.mark.parametrize(("final", "length", "is_over"), [(0.0, 200, True), (0.1, 200, False), (0.0, 201, False)])
def test_a_larger_budget_is_not_advised_where_the_learning_rate_stays_0(final, length, is_over):
    schedule = {"name": "cosine", "length": length, "final": final}
    summary = dataclasses.replace(UNSOLVED, config={"name": "a", "budget": {"updates": 200}, "schedule": schedule})
    last = closing_summary(summary, CWD, cwd=CWD).plain.splitlines()[-1]
    assert last.startswith("  try next    a new run with budget.updates=400" if is_over else "  try next    a larger")


def test_solved_and_gone_on():
    summary = dataclasses.replace(BASE, status="budget", updates=200)
    lines = closing_summary(summary, CWD, cwd=CWD).plain.splitlines()
    assert lines[0].startswith("adding_hf: budget used up after 200 updates")
    assert "solved at update 19" in lines[1]


@pytest.mark.parametrize(
    ("optim", "words"),
    [
        ({"damping": 0.1}, "optim.damping=1"),
        ({"lr": 0.01, "clip_norm": None}, "optim.lr=0.001, or clipping: optim.clip_norm=1"),
        ({"lr": 0.01, "clip_norm": 1.0}, "optim.lr=0.001"),
    ],
)
def test_diverged(optim, words):
    config = {"name": "adding", "optim": optim}
    summary = dataclasses.replace(UNSOLVED, status="diverged", loss=math.nan, config=config, message="loss is NaN")
    lines = closing_summary(summary, CWD, cwd=CWD).plain.splitlines()
    assert lines[0].startswith("adding: diverged after 200 updates")
    assert lines[1] == "  loss is NaN"
    assert lines[-1].endswith(words)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/ada/work/runs/a", "runs/a"),
        ("/home/ada/work", "."),
        ("/home/ada/other", "../other"),
        ("/tmp/x", "/tmp/x"),
        ("/home/ada/work/a b", "'a b'"),
        ("/home/ada/work/a'b", "'a'\"'\"'b'"),
    ],
)
def test_shortest_path(path, expected):
    said = shortest_path(Path(path), CWD)
    assert said == expected
    assert (CWD / shlex.split(said)[0]).resolve() == Path(path)


def test_programs_that_no_shell_finds_are_typed_as_paths(tmp_path, monkeypatch):
    """As after `scripts/rnnbench` in a checkout whose environment is not activated."""
    programs = tmp_path / "work/.venv/bin"
    programs.mkdir(parents=True)
    for name in ("python", "tensorboard"):
        (programs / name).touch(mode=0o755)
    monkeypatch.setattr("sys.executable", str(programs / "python"))
    monkeypatch.setenv("PATH", "/usr/bin")
    assert program("tensorboard", tmp_path / "work") == ".venv/bin/tensorboard"
    assert program("tensorboard", tmp_path / "work/runs") == "../.venv/bin/tensorboard"
    assert program("other") == "other"
    text = closing_summary(BASE, tmp_path / "work/runs/one", cwd=tmp_path / "work").plain
    assert text.endswith("  look at it  .venv/bin/tensorboard --logdir runs/one")
    monkeypatch.setenv("PATH", str(programs))
    assert program("tensorboard") == "tensorboard"


def test_long_lines_are_not_broken_without_a_terminal():
    stream = io.StringIO()
    folder = Path("/data") / ("long" * 60)
    print_closing_summary(BASE, folder, stream)
    text = stream.getvalue()
    assert "\x1b" not in text
    assert f"tensorboard --logdir {folder}\n" in text
    assert len(text.splitlines()) == 6
