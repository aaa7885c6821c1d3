"""Everything that does not train."""

import os
import re

import pytest
from omegaconf import OmegaConf

from rnnbench import __version__, cli

MODELS = ["gru", "latch", "lru", "lstm", "orthogonal_rnn", "rnn"]


def test_version(rnnbench):
    for words in (["--version"], ["train", "--version"]):
        answer = rnnbench(*words)
        assert (answer.status, answer.out, answer.err) == (0, f"rnnbench {__version__}\n", "")


def test_help_names_the_commands(rnnbench):
    answer = rnnbench("--help")
    assert answer.status == 0
    assert all(f"\n  {command} " in answer.out for command in cli.COMMANDS)


def test_no_command_is_bad_input_with_help(rnnbench):
    answer = rnnbench()
    assert (answer.status, answer.out) == (2, "")
    assert answer.err == rnnbench("--help").out


def test_help_of_train(rnnbench):
    answer = rnnbench("train", "--help")
    assert answer.status == 0
    for word in ("--multirun", "--config-dir", "-q", "task.sequence_length=100", "* adding", "nag "):
        assert word in answer.out
    assert "schema" not in answer.out


def test_help_of_bench(rnnbench):
    answer = rnnbench("bench", "--help")
    assert answer.status == 0
    for word in ("engine", "update", "--json FILE", "--shape R,B,T,n", "rnnbench bench update task=adding optim=hf"):
        assert word in answer.out


def test_list(rnnbench):
    answer = rnnbench("list")
    assert answer.status == 0
    assert re.search(r"^  \* hf +Hessian-free: ", answer.out, re.MULTILINE)
    assert "    temporal_order_3    Temporal order of three" in answer.out
    assert "schema" not in answer.out


def test_list_of_a_group(rnnbench):
    answer = rnnbench("list", "model")
    assert [line.split()[0] for line in answer.out.splitlines()] == ["model:", *MODELS[:-1], "*"]


@pytest.mark.parametrize("words", [["optim.sgd"], ["optim", "sgd"], ["optim=sgd"]])
def test_list_of_a_choice(words, rnnbench):
    out = rnnbench("list", *words).out
    assert out.startswith("optim=sgd: Stochastic gradient descent")
    rows = {line.split()[0]: line for line in out.splitlines()[1:]}
    assert rows["optim.lr=0.01"].endswith("learning rate (>= 0; per replica; tune: 0.001 to 3)")
    assert rows["optim.clip_norm=1"].endswith("null: no clipping (> 0; per replica; tune: 0.1 to 10)")
    assert rows["optim.cadence.updates=50000"].endswith("(>= 1)")
    assert "per replica" not in rows["optim.batch_size=100"]


def test_list_shows_choices_of_a_key(rnnbench):
    assert "of the hidden units (tanh | relu | linear | sigmoid)" in rnnbench("list", "model", "rnn").out


def test_list_of_other_keys(rnnbench):
    out = rnnbench("list", "keys").out
    assert "  seed=0 " in out
    assert "  budget.updates=${optim.cadence.updates} " in out
    assert "task.sequence_length" not in out


def test_list_of_probes(rnnbench):
    out = rnnbench("list", "probe", "default").out
    assert "probe.state_jacobian.num_steps=4" in out
    assert rnnbench("list", "probe", "none").out.endswith("(no keys)\n")


def test_list_of_own_choices(rnnbench, tmp_path):
    (tmp_path / "my/task").mkdir(parents=True)
    (tmp_path / "my/task/mine.yaml").write_text(
        "# Mine alone.\nname: mine\n_target_: mine.Mine\nsize: 3 # how large\ninner:\n  gain: 0.5 # how loud\n"
    )
    assert "    mine                Mine alone." in rnnbench("list", "task", "--config-dir", "my").out
    out = rnnbench("list", "task", "mine", "--config-dir", "my").out
    assert out.splitlines()[1:] == ["  task.size=3          how large", "  task.inner.gain=0.5  how loud"]
    (tmp_path / "my/experiment").mkdir()
    (tmp_path / "my/experiment/e.yaml").write_text("# @package _global_\n# An experiment.\nseed: 3\n")
    listed = rnnbench("list", "experiment", "-cd", "my").out.splitlines()
    assert ["e", "An experiment."] in [line.split(maxsplit=1) for line in listed]
    assert "seed: 3" in rnnbench("list", "experiment", "e", "-cd", "my").out


def test_list_wraps_on_a_terminal(rnnbench, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    lines = rnnbench("list", "task").out.splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[2].startswith(" " * 24)


def test_cfg_job(rnnbench):
    answer = rnnbench("train", "optim=sgd", "--cfg", "job", "seed=4", "--resolve")
    assert (answer.status, answer.err) == (0, "")
    shown = OmegaConf.create(answer.out)
    assert (shown.seed, shown.optim.lr, shown.budget.updates) == (4, 0.01, 50000)
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--cfg", "job", "-p", "budget"], "updates: ${optim.cadence.updates}"),
        (["--cfg", "hydra", "-p", "hydra.job"], "name: train"),
        (["--info", "searchpath"], "file://"),
        (["--info", "defaults"], "task/adding"),
        (["-i", "defaults-tree", "seed=3"], "optim"),
        (["--hydra-help"], "Hydra"),
        (["hydra.run.dir=x", "--cfg", "hydra", "-p", "hydra.run"], "dir: x"),
    ],
    ids=" ".join,
)
def test_what_hydra_shows(words, expected, rnnbench):
    answer = rnnbench("train", *words)
    assert answer.status == 0
    assert expected in answer.out
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("rnnbench tr", ["train"]),
        ("rnnbench ", ["train", "tune", "resume", "list", "report", "probe", "export", "check", "reproduce", "bench"]),
        (
            "rnnbench train model=",
            [f"model={name}" for name in ["gru", "latch", "lru", "lstm", "orthogonal_rnn", "rnn"]],
        ),
        ("rnnbench train optim=sgd optim.l", ["optim.lr="]),
        ("rnnbench train zz", []),
        ("rnnbench list o", ["optim"]),
        ("rnnbench list optim n", ["nag"]),
        ("rnnbench bench ", ["engine", "update"]),
        ("rnnbench bench up", ["update"]),
        ("rnnbench bench engine ", []),
        ("rnnbench bench update optim=n", ["optim=nag"]),
        ("rnnbench nope x", []),
    ],
)
def test_tab_completion(line, expected, rnnbench, monkeypatch):
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    answer = rnnbench("-sc", "query=bash")
    assert (answer.status, answer.out.split()) == (0, expected)


def test_tab_completion_in_fish_has_a_suggestion_per_line(rnnbench, monkeypatch):
    monkeypatch.setenv("COMP_LINE", "rnnbench train model=l")
    assert rnnbench("-sc", "query=fish").out == "model=latch\nmodel=lru\nmodel=lstm\n"


def test_completion_is_installed(rnnbench, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/rnnbench"])
    assert rnnbench("-sc", "install=bash").out.rstrip().endswith("-F hydra_bash_completion rnnbench")
