import io
import json
import os
import platform
import subprocess
import sys

import pytest

from rnnbench.bench import groups
from rnnbench.bench.announce import Announcer
from rnnbench.bench.case import MismatchError
from rnnbench.bench.machine_facts import machine_facts
from rnnbench.bench.options import Options, Shape
from rnnbench.bench.report import Report, print_report
from rnnbench.commands.bench import parse_options
from rnnbench.config.errors import ConfigError

REPORT = Report("title", ["", "ms"], [["one", "1.5"], None, ["two", "2"]], ["A note."], {"rows": [1.5, 2.0]})


@pytest.fixture
def one_report(monkeypatch):
    """Both groups give one table; returns the numbers of threads and the runs that they were given."""
    asked = []

    def measure(options, given, announcer):
        asked.append((options.group, list(given)))
        yield REPORT

    for group in ("engine", "update"):
        monkeypatch.setattr(groups, f"measure_{group}", measure)
    return asked


@pytest.mark.parametrize("group", ["engine", "update"])
def test_everything_is_written(group, one_report, tmp_path, capsys):
    path = tmp_path / "result.json"
    assert groups.bench(Options(group=group, json=path), []) == 0
    found = json.loads(path.read_text())
    assert found["groups"] == {group: [{"title": "title", "notes": ["A note."], "rows": [1.5, 2.0]}]}
    facts = {"cpu", "cores", "usable_cores", "memory_bytes", "environment", "load_average", "blas"}
    assert facts <= found["machine"].keys()
    assert {"python", "torch", "rnnbench"} <= found["versions"].keys()
    assert found["format"] == 1
    out = capsys.readouterr().out
    assert out.startswith(found["machine"]["cpu"])
    assert out.count("A note.") == 1
    assert str(path) in out


def test_one_thread_and_all_cores_by_default(one_report, monkeypatch):
    for processors in (6, 1):
        monkeypatch.setattr(groups, "num_processors", lambda number=processors: number)
        groups.bench(Options(), [])
    groups.bench(Options(threads=3), [])
    assert one_report == [("engine", [1, 6]), ("engine", [1]), ("engine", [3])]


def test_what_decides_about_speed_is_said_and_kept(tmp_path):
    result = tmp_path / "result.json"
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Haswell", "OMP_NUM_THREADS": "1", "GLIBC_TUNABLES": ""}
    environment.pop("THP_MEM_ALLOC_ENABLE", None)
    arguments = ["bench", "engine", "--shape", "1,2,3,4", "--rounds", "1", "--threads", "1", "--json", str(result)]
    run = subprocess.run(
        [sys.executable, "-m", "rnnbench", *arguments], env=environment, capture_output=True, text=True, check=True
    )
    machine = json.loads(result.read_text())["machine"]
    assert machine["environment"].items() >= {"OPENBLAS_CORETYPE": "Haswell", "OMP_NUM_THREADS": "1"}.items()
    second = run.stdout.splitlines()[1]
    assert second.startswith("set in the environment: OMP_NUM_THREADS=1 ")
    assert "OPENBLAS_CORETYPE=Haswell" in second
    assert "GLIBC_TUNABLES=" in second
    assert "THP_MEM_ALLOC_ENABLE" not in second  # rnnbench sets it itself
    for kernels in machine["blas"]:
        assert kernels in second
        if "openblas" in kernels and platform.machine() == "x86_64":
            assert kernels.endswith(" for Haswell")


def test_huge_pages_switched_off_by_the_user_are_told(monkeypatch):
    monkeypatch.setenv("THP_MEM_ALLOC_ENABLE", "0")
    assert machine_facts()["environment"]["THP_MEM_ALLOC_ENABLE"] == "0"


@pytest.mark.parametrize(("text", "chosen"), [("always [madvise] never\n", "madvise"), ("always madvise\n", None)])
def test_whether_the_system_grants_huge_pages(tmp_path, monkeypatch, text, chosen):
    told = tmp_path / "enabled"
    monkeypatch.setattr("rnnbench.bench.machine_facts.HUGE_PAGES", told)
    assert machine_facts()["huge_pages"] is None
    told.write_text(text)
    assert machine_facts()["huge_pages"] == chosen


@pytest.mark.parametrize(
    ("error", "said"),
    [(MismatchError("x does not compute y"), "x does not compute y"), (OSError("disk full"), "disk full")],
)
def test_a_failure_is_one_line(error, said, monkeypatch, capsys):
    def measure(*arguments):
        raise error
        yield

    monkeypatch.setattr(groups, "measure_engine", measure)
    assert groups.bench(Options(), []) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"rnnbench: {said}\n")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_table_is_plain_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    plain, drawn = io.StringIO(), Terminal()
    print_report(REPORT, plain)
    print_report(REPORT, drawn)
    lines = [line.rstrip() for line in plain.getvalue().splitlines()]
    assert lines == ["", "title", "      ms", "one  1.5", "", "two    2", "A note."]
    assert "\x1b[" in drawn.getvalue()
    assert "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in drawn.getvalue()


def test_progress_is_a_line_per_stage_or_one_that_is_overwritten(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    plain, drawn = io.StringIO(), Terminal()
    for stream in (plain, drawn):
        with Announcer(stream) as announcer:
            announcer.stage("one")
            announcer.detail("round 1")
            announcer.stage("two")
    assert plain.getvalue() == "rnnbench: measuring one\nrnnbench: measuring two\n"
    assert "measuring one: round 1" in drawn.getvalue()
    assert "\n" not in drawn.getvalue()
    assert drawn.getvalue().endswith("\r\x1b[K")


def test_options(tmp_path):
    words = ["engine", "--shape", "1,2,3,4", "--shape", "5,6,7,8", "--threads", "2", "--rounds", "9"]
    options, _ = parse_options([*words, "--json", str(tmp_path / "x.json")])
    shapes = (Shape(1, 2, 3, 4), Shape(5, 6, 7, 8))
    assert options == Options("engine", json=tmp_path / "x.json", threads=2, shapes=shapes, rounds=9)
    assert parse_options([])[0] == Options()


def test_an_update_takes_the_words_of_train(tmp_path):
    words = ["update", "-m", "optim=nag", "--rounds", "3", "seed=0,1", "--config-dir", str(tmp_path)]
    options, request = parse_options(words)
    assert options == Options("update", rounds=3)
    assert (request.overrides, request.multirun, request.config_dir) == (("optim=nag", "seed=0,1"), True, tmp_path)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["engin"], "there is no group 'engin' to measure; the groups are engine, update"),
        (["--shape", "1,2,3"], "R,B,T,n"),
        (["--shape", "1,2,3,0"], "'1,2,3,0'"),
        (["--shape", "1,2,3,x"], "--shape"),
        (["--threads", "0"], "--threads: must be a whole number >= 1"),
        (["--rounds", "1.5"], "--rounds"),
        (["--json", "/nonexistent/x.json"], "/nonexistent"),
        (["--json", "/"], "is a folder"),
        (["--nope"], "--nope"),
        (["engine", "update"], "unrecognized arguments: update"),
        (["model=lstm"], "rnnbench bench update takes those of rnnbench train"),
        (["engine", "model=lstm"], "rnnbench bench update takes those of rnnbench train"),
        (["update", "--shape", "1,2,3,4"], "as in model.hidden_size=50"),
        (["update", "--threads", "2"], "threads=2"),
        (["update", "--cfg", "job"], "takes KEY=VALUE, -m and --config-dir"),
        (["update", "--config-dir", "/nonexistent"], "there is no folder /nonexistent"),
        (["update", "--nope"], "--nope"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_bad_options(words, expected):
    with pytest.raises(ConfigError) as caught:
        parse_options(words)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
