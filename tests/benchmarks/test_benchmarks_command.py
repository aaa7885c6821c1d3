"""`python -m benchmarks`: its options, its groups, and what it writes."""

import io
import json

import pytest

from benchmarks import groups
from benchmarks.__main__ import main
from benchmarks.gpu import report_gpu
from benchmarks.options import GPU, GROUPS, Options, parse_options
from rnnbench.bench.announce import Announcer
from rnnbench.bench.options import Shape
from rnnbench.bench.report import Report
from rnnbench.config.errors import ConfigError

ALL_BUT_GPU = [group for group in GROUPS if group != GPU]


def test_every_group_is_measured():
    assert list(groups.MEASURES) == list(GROUPS)


def test_everything_is_written(tmp_path, capsys, monkeypatch):
    def measure(options, settings, announcer):
        assert settings == [3]
        yield Report("title", ["", "ms"], [["one", "1.5"]], ["A note."], {"rows": [1.5, 2.0]})

    monkeypatch.setattr(groups, "MEASURES", dict.fromkeys(GROUPS, measure))
    path = tmp_path / "result.json"
    assert main(["all", "--threads", "3", "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert list(found["groups"]) == ALL_BUT_GPU
    assert found["groups"]["hf"] == [{"title": "title", "notes": ["A note."], "rows": [1.5, 2.0]}]
    assert (found["format"], found["full"], found["threads"]) == (1, False, [3])
    assert {"machine", "versions", "git", "date"} <= found.keys()
    assert capsys.readouterr().out.count("A note.") == len(ALL_BUT_GPU)


def test_options(tmp_path):
    words = ["--full", "engine", "--shape", "1,2,3,4", "--threads", "2", "--rounds", "9"]
    assert parse_options([*words, "--json", str(tmp_path / "x.json")]) == Options(
        group="engine", full=True, json=tmp_path / "x.json", threads=2, shapes=(Shape(1, 2, 3, 4),), rounds=9
    )
    assert parse_options([]) == Options()
    assert parse_options(["all", "--shape", "1,2,3,4"]).groups == tuple(ALL_BUT_GPU)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["engin"], "engine, cores, training, gated, hf, modules, tasks, probes, sweep, gpu, all"),
        (["hf", "--shape", "1,2,3,4"], "engine, cores, training, gated, gpu, not for hf"),
        (["--nope"], "(see python -m benchmarks --help)"),
        (["hf", "tasks"], "tasks"),
        (["--json", "/"], "is a folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_bad_input_is_one_line(words, expected, capsys):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("benchmarks: ")
    assert expected in said
    assert said.count("\n") == 1


def test_without_a_gpu_its_group_is_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="needs a CUDA device"):
        groups.run(Options(group="gpu"))


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
