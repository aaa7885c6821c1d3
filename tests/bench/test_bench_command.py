import io
import json
import os
import platform
import subprocess
import sys

import pytest

from rnnbench.bench import command
from rnnbench.bench.announce import Announcer
from rnnbench.bench.case import MismatchError
from rnnbench.bench.gpu import report_gpu
from rnnbench.bench.machine_facts import machine_facts
from rnnbench.bench.options import GPU, GROUPS, OptionError, Options, Shape, parse_options
from rnnbench.bench.report import Report, print_report

ALL_BUT_GPU = [group for group in GROUPS if group != GPU]

REPORT = Report("title", ["", "ms"], [["one", "1.5"], None, ["two", "2"]], ["A note."], {"rows": [1.5, 2.0]})


@pytest.fixture
def one_report(monkeypatch):
    """Every group gives one table; returns what they were asked."""
    asked = []

    def measure(options, settings, announcer, **others):
        asked.append((options.group, list(settings)))
        yield REPORT

    for group in GROUPS:
        monkeypatch.setattr(command, f"measure_{group}", measure)
    return asked


def test_everything_is_kept(one_report, tmp_path, capsys):
    path = tmp_path / "result.json"
    assert command.bench(Options(group="all", json=path, threads=3), None) == 0
    found = json.loads(path.read_text())
    assert list(found["groups"]) == ALL_BUT_GPU
    assert found["groups"]["hf"] == [{"title": "title", "notes": ["A note."], "rows": [1.5, 2.0]}]
    assert found["threads"] == [3]
    facts = {"cpu", "cores", "usable_cores", "memory_bytes", "environment", "load_average", "blas"}
    assert facts <= found["machine"].keys()
    assert {"python", "torch", "rnnbench"} <= found["versions"].keys()
    assert (found["format"], found["full"]) == (1, False)
    out = capsys.readouterr().out
    assert out.count("A note.") == len(ALL_BUT_GPU)
    assert str(path) in out


def test_one_thread_and_all_cores_by_default(one_report, monkeypatch):
    monkeypatch.setattr(command, "usable_cores", lambda: 6)
    command.bench(Options(), None)
    monkeypatch.setattr(command, "usable_cores", lambda: 1)
    command.bench(Options(), None)
    assert one_report == [("engine", [1, 6]), ("engine", [1])]


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


def test_a_mismatch_is_a_failure(monkeypatch, capsys):
    def measure(*arguments):
        raise MismatchError("x does not compute y")
        yield

    monkeypatch.setattr(command, "measure_engine", measure)
    assert command.bench(Options(), None) == 1
    assert capsys.readouterr().err == "rnnbench: x does not compute y\n"


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
    words = ["--full", "engine", "--shape", "1,2,3,4", "--shape", "5,6,7,8", "--threads", "2", "--rounds", "9"]
    assert parse_options([*words, "--json", str(tmp_path / "x.json")]) == Options(
        group="engine",
        full=True,
        json=tmp_path / "x.json",
        threads=2,
        shapes=(Shape(1, 2, 3, 4), Shape(5, 6, 7, 8)),
        rounds=9,
    )
    assert parse_options([]) == Options()
    assert parse_options(["all", "--shape", "1,2,3,4"]).groups == tuple(ALL_BUT_GPU)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["engin"], "engine, training, gated, hf, tasks, probes, sweep, gpu, all"),
        (["--shape", "1,2,3"], "R,B,T,n"),
        (["--shape", "1,2,3,0"], "'1,2,3,0'"),
        (["--shape", "1,2,3,x"], "--shape"),
        (["hf", "--shape", "1,2,3,4"], "engine, training, gated, gpu, not for hf"),
        (["--threads", "0"], "--threads: must be a whole number >= 1"),
        (["--rounds", "1.5"], "--rounds"),
        (["--json", "/nonexistent/x.json"], "/nonexistent"),
        (["--json", "/"], "is a folder"),
        (["--nope"], "--nope"),
        (["hf", "tasks"], "tasks"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_bad_options(words, expected):
    with pytest.raises(OptionError) as caught:
        parse_options(words)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_a_gpu_its_group_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(OptionError, match="measures a CUDA device"):
        command.bench(Options(group="gpu"), None)


def test_times_on_a_gpu_stand_beside_the_best_of_ours():
    def failing():
        raise RuntimeError("no compiler")

    def taking(ms):
        return lambda: {"ms": ms, "fastest ms": ms / 2, "us of a step": 10 * ms}

    measures = {
        "gradient, rnnbench, torch": taking(4.0),
        "gradient, rnnbench, triton": taking(2.0),
        "gradient, a loop": taking(8.0),
        "gradient, another": failing,
        "product, a loop": taking(3.0),
    }
    report = report_gpu(Shape(1, 2, 3, 4), measures, Announcer(io.StringIO()))
    assert [row[-1] for row in report.rows] == ["2.00", "1.00", "4.00", "-"]
    assert report.rows[2] == ["gradient, a loop", "8", "4", "80", "4.00"]
    targets = report.data["targets"]
    assert report.notes == [*targets, "Not measured: gradient, another: RuntimeError: no compiler"]
