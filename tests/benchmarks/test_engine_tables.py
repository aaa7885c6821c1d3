import json

import pytest
import torch

from benchmarks import engine, scaling
from benchmarks.engine import measure_engine
from benchmarks.options import Options
from rnnbench.bench import timing
from rnnbench.bench.case import Computation, MismatchError, Way
from rnnbench.bench.options import Shape
from rnnbench.bench.peers_torch import BASE
from rnnbench.bench.timing import Statistics

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
SHAPE = Shape(2, 3, 4, 5)


def test_a_table_for_every_shape_and_number_of_threads(announcer, monkeypatch):
    monkeypatch.setattr(timing, "BURST_SECONDS", 0.0)  # one call in a round
    options = Options(shapes=(SHAPE, Shape(1, 3, 4, 5)), rounds=2)
    reports = list(measure_engine(options, [1, 2], announcer))
    assert [(report.data["shape"]["replicas"], report.data["threads"]) for report in reports] == [
        (2, 1),
        (2, 2),
        (1, 1),
        (1, 2),
    ]
    for report in reports:
        data = json.loads(json.dumps(report.data, allow_nan=False))
        ways = {section: [way.name for way in ways] for section, ways in engine.ways().items()}
        assert [row["name"] for row in data["rows"]] == [name for names in ways.values() for name in names]
        assert data["base"] == BASE
        rows = {row["name"]: row for row in data["rows"]}
        assert rows[BASE]["ratio"] == {"median": 1.0, "lower": 1.0, "upper": 1.0}
        sequences = data["shape"]["replicas"] * data["shape"]["sequences"]
        for row in data["rows"]:
            assert len(row["seconds"]) == 2
            assert row["median"] == Statistics.of(row["seconds"]).median
            assert row["sequences_per_second"] == pytest.approx(sequences / row["median"])
            assert row["ratio"]["median"] == Statistics.of_ratio(row["seconds"], rows[BASE]["seconds"]).median
        for section, fastest in data["fastest_peer"].items():
            peers = [name for name in ways[section] if not name.startswith("rnnbench")]
            assert fastest["name"] == min(peers, key=lambda name: rows[name]["median"])


@pytest.mark.parametrize("section", ["gradient", "product"])
def test_a_wrong_peer_ends_the_measurement(section, announcer, monkeypatch):
    def make(case, threads):
        return Computation(lambda: torch.ones_like(case.theta), lambda rows: rows)

    ways = engine.ways()
    monkeypatch.setattr(engine, "ways", lambda: {**ways, section: [*ways[section], Way("a fake", make)]})
    with pytest.raises(MismatchError, match="a fake and rnnbench give different results"):
        list(measure_engine(Options(shapes=(SHAPE,), rounds=1), [1], announcer))


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_law(power):
    sizes = [50, 100, 200, 500, 1000, 2000]
    assert scaling.exponent(sizes, [3e-4 * size**power for size in sizes]) == pytest.approx(power)
    overhead = scaling.exponent(sizes, [1.0, *(3e-4 * size**power for size in sizes[1:])])
    assert overhead == pytest.approx(power)  # small sizes do not count


@pytest.mark.parametrize("axis", list(scaling.SERIES))
def test_series_differ_in_one_field(axis):
    assert len({shape._replace(**{axis: 0}) for shape in scaling.SERIES[axis]}) == 1


def test_a_series_is_measured(lanes, announcer):
    shapes = [Shape(1, 2, steps, 3) for steps in (2, 4, 8, 16)]
    report = scaling.measure_series("steps", shapes, 1, lanes, announcer, rounds=2, seconds=0.0)
    data = json.loads(json.dumps(report.data, allow_nan=False))
    assert [row["size"] for row in data["rows"]] == [2, 4, 8, 16]
    assert all(len(row["seconds"]) == 2 for row in data["rows"])
    medians = [row["median"] for row in data["rows"]]
    assert data["exponents"]["seconds"] == pytest.approx(scaling.exponent([2, 4, 8, 16], medians))
    assert "B=2" in report.title
