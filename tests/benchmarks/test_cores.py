"""Times against the number of threads, and their prediction."""

import json

import pytest

from benchmarks import cores
from benchmarks.options import Options
from rnnbench.bench import timing
from rnnbench.bench.case import make_case
from rnnbench.bench.options import Shape
from rnnbench.native.library import unavailable_reason


@pytest.mark.skipif(unavailable_reason("srn") is not None, reason="no native kernels")
def test_a_table_for_every_shape(announcer, monkeypatch):
    monkeypatch.setattr(timing, "BURST_SECONDS", 0.0)  # one call in a round
    reports = list(cores.measure_cores(Options(shapes=(Shape(2, 7, 3, 4),), rounds=2, threads=3), [1], announcer))
    assert len(reports) == len(cores.WAYS)
    for report in reports:
        assert [row[0] for row in report.rows] == ["1", "2", "3", "8", "16", "64"]
        data = json.loads(json.dumps(report.data, allow_nan=False))
        assert data["prediction"]["tiles"] == 4
        assert report.rows[0][1] == report.rows[0][2]


def test_prediction():
    found = cores.Prediction(total=1.0, serial=0.1, tiles=8)
    assert found.seconds(1) == 1.0
    assert found.seconds(4) == pytest.approx(0.1 + 0.9 * 2 / 8, abs=1e-3)
    assert found.seconds(5) == found.seconds(7) == found.seconds(4)
    assert found.seconds(8) == found.seconds(64) == pytest.approx(0.1 + 0.9 / 8, abs=1e-3)


def test_tiles_are_those_of_all_blocks():
    assert cores.num_tiles(make_case(Shape(3, 20, 2, 4))) == 3 * 4
    assert cores.num_tiles(make_case(Shape(1, 1000, 100, 100))) == 6 * 14


def test_numbers_of_threads():
    assert cores.thread_numbers(1) == [1]
    assert cores.thread_numbers(12) == [1, 2, 4, 8, 12]
