"""What the documents tell a reader to type works."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from documents import OWN, blocks, write_own

from benchmarks.options import parse_options as read_benchmarks
from docs.make import architecture
from rnnbench.cli import main
from rnnbench.commands.bench import parse_options as read_bench
from rnnbench.config.build import build_task
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "benchmarks/README.md", *sorted((ROOT / "docs").glob("*.md"))]


def train_commands():
    for page in PAGES:
        lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
        for line in dict.fromkeys([*lines, *re.findall(r"`(rnnbench train[^`]*)`", page.read_text())]):
            # What is checked of a job does not depend on its seed; with all of them there are hundreds of jobs.
            words = shlex.split(re.sub(r"\bseed=range\(0,\d+\)", "seed=range(0,2)", line), comments=True)
            if words[1:2] == ["train"] and "--config-dir" not in words:
                yield pytest.param(words[2:], id=f"{page.name}: {line}")


@pytest.mark.parametrize("words", list(train_commands()))
def test_every_train_command_composes(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    configs = make_plan(parse_request(words)).configs
    assert configs
    for config in {repr(config.task): config for config in configs}.values():
        build_task(config)


READERS = {"python -m benchmarks": read_benchmarks, "rnnbench bench": read_bench}


def bench_commands():
    """The words after every command that measures, with what reads them."""
    command = re.compile(rf"(?:[A-Z_]+=\S* )*({'|'.join(READERS)})\b(.*)")
    for page in PAGES:
        lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
        for line in dict.fromkeys([*lines, *re.findall(r"`([^`\n]+)`", page.read_text())]):
            if found := command.fullmatch(line):
                yield pytest.param(READERS[found[1]], shlex.split(found[2], comments=True), id=f"{page.name}: {line}")


@pytest.mark.parametrize(("read", "words"), list(bench_commands()))
def test_every_command_that_measures_is_understood(read, words, monkeypatch):
    monkeypatch.chdir(ROOT)
    read(words)


@pytest.mark.parametrize("script", ["hf_ablations", "hf_batches", "lengths"])
def test_every_sweep_of_a_script_composes(script, tmp_path, monkeypatch):
    """Called for the first time it trains, and where it has begun it resumes."""
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$*"\n')
    program.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    command = [ROOT / "scripts" / script, "runs"]
    environment = {**os.environ, "RNNBENCH": str(program)}

    def commands():
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()

    folders, together = [], {}
    for line in commands():
        pairs = dict(word.split("=", 1) for word in shlex.split(line)[2:])
        folders.append(pairs["hydra.sweep.dir"])
        # All sweeps of an optimizer in one, at their last values: one by one takes too long.
        values = {key: value.split(",")[-1] for key, value in pairs.items() if key not in ("seed", "task")}
        together.setdefault(pairs["optim"], {}).update(values)
    for values in together.values():
        assert make_plan(parse_request(["-m", *(f"{key}={value}" for key, value in values.items())])).configs
    assert len(folders) == len(set(folders)) > 2
    for folder in folders:
        Path(folder).mkdir(parents=True)
        (Path(folder) / "sweep.json").touch()
    assert commands() == [f"resume {folder}" for folder in folders]


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_the_picture_of_the_architecture_has_every_package():
    shown = {name for _, packages in architecture.LAYERS for name, _ in packages}
    package = ROOT / "rnnbench"
    folders = {path.name for path in package.iterdir() if path.is_dir() and path.name[0] != "_"}
    files = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__", "exit_status", "paths", "metrics"}
    assert shown == folders | files
    for path, text in architecture.pages(ROOT, ROOT / "docs").items():
        assert path.read_text() == text


def test_files_that_the_architecture_names_exist():
    text = (ROOT / "docs/architecture.md").read_text()
    named = re.findall(
        r"`((?:commands|config|run|sweeps|training|records|experiments|reports|optim|objective)/[\w./]*)`", text
    )
    assert len(named) > 10
    assert [name for name in named if not (ROOT / "rnnbench" / name).exists()] == []


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """The files of docs/extending.md, in a folder of one's own beside the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    write_own(tmp_path / "my")
    yield tmp_path / "my"
    for name in OWN:
        sys.modules.pop(name.partition("/")[2], None)


def test_choices_of_ones_own_train(own_folder, tmp_path, capsys):
    """All of them together; the values of a key that is a tensor in the class in one run."""
    choices = [name.replace("/", "=") for name in OWN if name != "task/echo"]
    small = ["task.sequence_length=6", "model.hidden_size=4", "threads=1", "budget.updates=3", "-q"]
    words = ["--config-dir", "my", *choices, *small, "optim.alpha=0.5,0.9", "hydra.sweep.dir=sweep"]
    assert main(["train", "-m", *words]) == 0, capsys.readouterr().err
    summaries = [json.loads((tmp_path / f"sweep/{job}/summary.json").read_text()) for job in (0, 1)]
    assert [summary["config"]["optim"]["alpha"] for summary in summaries] == [0.5, 0.9]
    assert {(summary["status"], summary["updates"]) for summary in summaries} == {("budget", 3)}
    assert len({summary["loss"] for summary in summaries}) == 2
    assert len(json.loads((tmp_path / "sweep/sweep.json").read_text())["groups"]) == 1
    assert "theta/norm" in (tmp_path / "sweep/0/metrics.csv").read_text().splitlines()[0]
    assert main(["resume", "sweep", "budget.updates=4", "--config-dir", "my", "-q"]) == 0


@pytest.mark.slow
def test_choices_of_ones_own_obey_the_laws(own_folder, capsys):
    assert main(["check", "--config-dir", "my"]) == 0, capsys.readouterr().out
    said = capsys.readouterr().out
    assert "0 fail" in said.splitlines()[-1]
    for name in OWN:
        assert f"holds   {name.replace('/', '=')}: a resumed run is the uninterrupted one" in said


def test_a_law_that_fails_is_shown_as_on_the_page(own_folder, capsys):
    code = own_folder / "first_value.py"
    code.write_text(re.sub(r"~\((.*) <= 0.04\)", r"\1 > 0.04", code.read_text()))
    assert main(["check", "--config-dir", "my", "task=first_value"]) == 1
    said = re.sub(r"\d\.\d\d s", "0.07 s", capsys.readouterr().out)
    (shown,) = blocks(ROOT / "docs/extending.md", "text")
    assert shown in said
