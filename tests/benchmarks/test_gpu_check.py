"""The check's plumbing: measurements kept, gone on with, made anew; its tiny sizes on a CPU."""

import io
import json

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_check import __main__ as program
from benchmarks.gpu_check import programs
from benchmarks.gpu_check.chip import facts
from benchmarks.gpu_check.stage import Stage, run_stage
from benchmarks.gpu_check.times import speed_stage
from benchmarks.gpu_targets import targets_in_words
from rnnbench.bench.options import Shape
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request

CPU = torch.device("cpu")
FACTS = {"chip": "A", "revision": "1"}


class Measured:
    """Measurements that count their calls."""

    def __init__(self, **results):
        self.calls, self.results = [], results

    def stage(self):
        return Stage("name", "title", {name: lambda name=name: self(name) for name in self.results}, longest=10)

    def __call__(self, name):
        self.calls.append(name)
        if isinstance(self.results[name], Exception):
            raise self.results[name]
        return self.results[name]


def run(measured, folder, facts=FACTS, seconds=100):
    return run_stage(measured.stage(), folder, facts, io.StringIO(), seconds)


def test_a_stage_goes_on_where_it_was_cut_off(tmp_path):
    measured = Measured(a={"ms": 1.0}, b={"ms": 2.0}, c={"ms": 3.0})
    for missing in (2, 1, 0, 0):
        assert run(measured, tmp_path, seconds=0).missing == missing
    assert measured.calls == ["a", "b", "c"]
    contents = json.loads((tmp_path / "name.json").read_text())
    assert [found["ms"] for found in contents["measurements"].values()] == [1.0, 2.0, 3.0]
    assert contents["chip"] == "A"


def test_another_revision_measures_anew(tmp_path):
    measured = Measured(a={"ms": 1.0})
    run(measured, tmp_path)
    run(measured, tmp_path, FACTS | {"revision": "2"})
    assert measured.calls == ["a", "a"]


def test_an_error_is_kept_and_tried_again(tmp_path):
    measured = Measured(a=ValueError("no"), b={"ok": False}, c={"ok": True})
    assert run(measured, tmp_path).failed == ["a", "b"]
    assert json.loads((tmp_path / "name.json").read_text())["measurements"]["a"]["error"] == "ValueError: no"
    run(measured, tmp_path)
    assert measured.calls == ["a", "b", "c", "a", "b"]


def test_a_damaged_file_is_measured_anew(tmp_path):
    (tmp_path / "name.json").write_text("{")
    assert run(Measured(a={}), tmp_path).missing == 0


def test_facts_are_json():
    found = facts(CPU)
    assert json.loads(json.dumps(found)) == found
    assert found["device"] == "cpu"


@pytest.mark.parametrize(
    ("words", "said"),
    [(["nope"], "there is no stage 'nope'; the stages are compilation, precision"), (["speed"], "no CUDA device")],
)
def test_bad_input_is_one_line(words, said, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(program, "find_spec", lambda name: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert program.main([*words, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert told.startswith("gpu_check: ")
    assert said in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_every_way_is_timed_and_agrees(monkeypatch):
    """The kernels' rows alone need a GPU; on a CPU they are torch's."""
    monkeypatch.setattr(gpu, "ROUNDS", 2)
    monkeypatch.setattr(gpu, "SECONDS", 0.0)
    stage = speed_stage(CPU, quick=True)
    ours = {name: measure() for name, measure in stage.measurements.items() if "JAX" not in name}
    assert all(found["ms"] > 0 for found in ours.values())
    short = {name.partition(": ")[2]: found for name, found in ours.items()}
    assert all(": unknown" not in line for line in targets_in_words(Shape(2, 3, 4, 5), short))
    assert {name.rpartition(": ")[2] for name in ours} >= {
        "gradient, rnnbench, triton",
        "product, rnnbench, torch",
        "gradient of lstm, rnnbench, fused",
        "gradient of gru, torch.nn.GRU, replicas in turn",
    }


def test_a_wrong_result_is_no_time(monkeypatch):
    stage = speed_stage(CPU, quick=True)
    monkeypatch.setattr("benchmarks.gpu.check_agreement", lambda *_: (_ for _ in ()).throw(ValueError("off")))
    for peer in ("nn.RNN, replicas in turn", "nn.LSTM", "lstm, rnnbench, fused"):
        name = next(name for name in stage.measurements if peer in name)
        with pytest.raises(ValueError, match="off"):
            stage.measurements[name]()


def test_every_training_is_timed_with_graphs_and_without():
    measurements = programs.graphs_stage(CPU, quick=False).measurements
    for measure in list(measurements.values())[::2]:
        assert make_plan(parse_request(["-m", *measure.args[0], "hydra.sweep.dir=nowhere"])).configs
    names = list(measurements)
    assert [name.rpartition("=")[2] for name in names] == ["always", "never"] * 3
    assert len({name.rpartition(",")[0] for name in names}) == 3


@pytest.mark.slow
def test_updates_are_counted_by_the_second():
    found = next(iter(programs.graphs_stage(CPU, quick=True).measurements.values()))()
    assert (found["runs"], found["updates"], found["ok"]) == (1, 10, True)
    assert found["updates a second"] == 10 / found["s of training"]


@pytest.mark.slow
def test_training_is_summed_up():
    stage = programs.training_stage(CPU, quick=True)
    (found,) = (measure() for measure in stage.measurements.values())
    assert (found["runs"], found["updates"], found["ok"]) == (2, 1, True)
