"""What a checkpoint of a stranger's says is not believed: nothing of it is imported, called or allocated for."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from rnnbench.cli import main
from rnnbench.training.checkpoint import load_checkpoint, save_checkpoint

SMALL = (
    "task.sequence_length=10",
    "model.hidden_size=5",
    "optim=sgd",
    "optim.batch_size=10",
    "threads=1",
    "budget.updates=2",
)
GROUPS = ("task", "model", "init", "optim", "probe")

SIDE_EFFECT = """
from pathlib import Path
Path(__file__).with_name("imported").touch()

class Popen:
    def __init__(self, *arguments, **keys):
        Path(__file__).with_name("called").touch()
"""

OWN_INIT = """
from dataclasses import dataclass
import torch
from rnnbench.init.base import Init

@dataclass(frozen=True, kw_only=True)
class Zeros(Init):
    def recurrent_block(self, generator, hidden_size):
        return torch.zeros(hidden_size, hidden_size, dtype=torch.float64)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run that has ended."""
    folder = tmp_path_factory.mktemp("made") / "run"
    assert main(["train", "-q", *SMALL, f"hydra.run.dir={folder}"]) == 0
    return folder


@pytest.fixture
def run(made, tmp_path, monkeypatch):
    """A copy of it in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return Path(shutil.copytree(made, "run"))


@pytest.fixture
def refused(capsys):
    """Call a command that has to end as bad input; its one line."""

    def call(*words):
        capsys.readouterr()
        assert main(list(words)) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("rnnbench: ")
        assert captured.err.count("\n") == 1
        return captured.err.strip()

    return call


def change(run, edit):
    """Change what a checkpoint holds, as a stranger would who knows its form; there is none before it."""
    checkpoint = load_checkpoint(run / "checkpoint.pt")
    edit(checkpoint)
    save_checkpoint(run / "checkpoint.pt", checkpoint, keep_previous=False)
    (run / "checkpoint.previous.pt").unlink(missing_ok=True)


def with_target(group, target, classes=None):
    def edit(checkpoint):
        choices = checkpoint["config"]
        (choices["probe"]["gradient_norm"] if group == "probe" else choices[group])["_target_"] = target
        if classes is not None:
            checkpoint["classes"] = classes

    return edit


@pytest.mark.parametrize(
    ("command", "group", "target"),
    [
        *(("resume", group, target) for group in GROUPS for target in ("subprocess.Popen", "strange.inner.Popen")),
        # The probes of the run itself are not read.
        *(("probe", group, target) for group in GROUPS[:-1] for target in ("os.system", "strange_module.Popen")),
    ],
)
def test_no_class_of_a_stranger_is_imported(run, refused, monkeypatch, tmp_path, command, group, target):
    (tmp_path / "strange").mkdir()
    for name in ("strange_module.py", "strange/__init__.py", "strange/inner.py"):
        (tmp_path / name).write_text(SIDE_EFFECT)
    monkeypatch.syspath_prepend(tmp_path)  # as an installed package is found
    change(run, with_target(group, target, {target: str(tmp_path)}))
    words = ["budget.updates=4"] if command == "resume" else []
    message = refused(command, "run", *words)
    assert target in message
    assert [*tmp_path.rglob("imported"), *tmp_path.rglob("called"), *tmp_path.rglob("probe")] == []
    assert {"strange_module", "strange"} & sys.modules.keys() == set()


def test_what_is_trusted_is_still_not_called_unless_it_is_of_the_groups_kind(run, refused, tmp_path):
    (tmp_path / "my").mkdir()
    (tmp_path / "my/strange_kind.py").write_text(SIDE_EFFECT)
    change(run, with_target("model", "strange_kind.Popen"))
    message = refused("resume", "run", "budget.updates=4", "--config-dir", "my")
    assert "model._target_: strange_kind.Popen must be a subclass of" in message
    assert not (tmp_path / "my/called").exists()


def test_a_run_with_a_class_of_ones_own(tmp_path, monkeypatch, capsys, refused):
    """It remembers where the class came from, and the refusal is the command that goes on."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my folder/init").mkdir(parents=True)
    (tmp_path / "my folder/zeros_of_mine.py").write_text(OWN_INIT)
    (tmp_path / "my folder/init/zeros.yaml").write_text(
        "# Zeros.\ndefaults:\n  - /schema/init/init@_here_\n  - _self_\nname: zeros\n_target_: zeros_of_mine.Zeros\n"
    )
    small = [word for word in SMALL if not word.startswith("init")]
    assert main(["train", "-q", "--config-dir", "my folder", "init=zeros", *small, "hydra.run.dir=run"]) == 0
    place = str(tmp_path / "my folder")
    assert json.loads(Path("run/summary.json").read_text())["classes"] == {"zeros_of_mine.Zeros": place}
    sys.modules.pop("zeros_of_mine")
    sys.path.remove(place)
    sys.path.remove(str(tmp_path))
    message = refused("resume", "run", "budget.updates=4")
    assert message == (
        f"rnnbench: run uses zeros_of_mine.Zeros from {place}, a class that is not part of rnnbench; if you trust it: "
        f"rnnbench resume run budget.updates=4 --config-dir '{place}'"
    )
    assert "zeros_of_mine" not in sys.modules
    assert refused("probe", "run").endswith(f"if you trust it: rnnbench probe run --config-dir '{place}'")
    assert main(["report", "run"]) == 0
    capsys.readouterr()
    assert main(["resume", "run", "budget.updates=4", "--config-dir", place, "-q"]) == 0
    assert load_checkpoint("run/checkpoint.pt")["update"] == 4
    sys.modules.pop("zeros_of_mine")
    assert main(["probe", "run", "--config-dir", place]) == 0


def _nested(depth):
    value = 1
    for _ in range(depth):
        value = {"a": value}
    return value


HOSTILE = [
    ("model.hidden_size", 10**9, "GiB"),
    ("model.hidden_size", 10**18, "GiB"),
    ("model.hidden_size", 10**400, "hidden_size is larger than the largest allowed number"),
    ("model.hidden_size", "5", "model.hidden_size must be a whole number, got '5'"),
    ("model.hidden_size", True, "model.hidden_size must be a whole number, got true"),
    ("model.hidden_size", -1, "model.hidden_size must be >= 1"),
    ("task.sequence_length", 10**12, "GiB"),
    ("task.sequence_length", float("nan"), "task.sequence_length must be a whole number"),
    ("optim.lr", float("nan"), "optim.lr must be a finite number"),
    ("optim.lr", "${oc.env:HOME}", "optim.lr must be a number, got"),
    ("optim.lr", _nested(200), "nested too deeply"),
    ("optim.batch_size", 10**15, "batch_size"),
    ("optim.cadence", 3, "damaged"),
    ("init.input_scale", [0.1], "init.input_scale must be a number"),
    ("probe", 3, "damaged"),
    ("probe.gradient_norm.every", None, "probe.gradient_norm.every must be a whole number"),
    ("budget.updates", "4", "budget.updates must be"),
    ("threads", 10**9, "threads"),
    ("name", "../../x", "name"),
    ("name", 3, "name must be text"),
    ("device", "cuda:${oc.env:HOME}", "device"),
    ("unknown", 3, "unknown"),
    ("task.__class__", "x", "task.__class__ is not a key"),
    ("task._target_", 3, "task._target_ must be text"),
    ("task._target_", "rnnbench.bench.watched.Case", "rnnbench.bench.watched.Case"),
    ("task._target_", "rnnbench.tasks.base.Batch", "rnnbench.tasks.base.Batch must be a subclass"),
]


@pytest.mark.parametrize(("key", "value", "words"), HOSTILE)
def test_a_value_that_cannot_be_is_one_line(run, refused, key, value, words):
    def edit(checkpoint):
        *path, last = f"config.{key}".split(".")
        node = checkpoint
        for part in path:
            node = node[part]
        node[last] = value
        if key == "threads":
            checkpoint["threads"] = value

    change(run, edit)
    message = refused("resume", "run", "budget.updates=1000000000")
    assert words in message
    assert len(message) < 1000
    if not key.startswith(("budget", "probe", "threads", "device", "optim.batch_size")):
        refused("probe", "run")
        assert not os.path.exists("run/probe")


@pytest.mark.parametrize(
    ("part", "value"), [("schema", {}), ("schema", {"task": "Hf"}), ("schema", 3), ("config", []), ("config", {})]
)
def test_a_part_that_cannot_be_is_one_line(run, refused, part, value):
    change(run, lambda checkpoint: checkpoint.update({part: value}))
    assert "run/checkpoint.pt" in refused("resume", "run")
    assert "run/checkpoint.pt" in refused("probe", "run")


def test_the_place_of_a_class_is_shown_and_nothing_else(run, refused, monkeypatch):
    for place in ["/nowhere; rm -rf $HOME", "x\x1b[2J", ["y"], "n" * 5000, "a\0b", ""]:
        change(run, with_target("task", "of_a_stranger.Task", {"of_a_stranger.Task": place}))
        message = refused("resume", "run", "-q")
        assert message.isprintable()
        assert message.endswith("if you trust it: rnnbench resume run -q --config-dir DIR")
