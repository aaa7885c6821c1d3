"""The tables of `rnnbench bench engine`."""

import json
from dataclasses import replace

import pytest
import torch

from rnnbench.bench import engine, timing
from rnnbench.bench.case import Computation, MismatchError, Way
from rnnbench.bench.engine import SECTIONS, measure_engine
from rnnbench.bench.options import Options, Shape
from rnnbench.bench.timing import Statistics
from rnnbench.config.errors import ConfigError

SHAPE = Shape(2, 3, 4, 5)


def test_a_table_for_every_shape(announcer, monkeypatch):
    monkeypatch.setattr(timing, "BURST_SECONDS", 0.0)  # one call in a round
    shapes = (SHAPE, Shape(1, 3, 4, 5))
    reports = list(measure_engine(Options(shapes=shapes, rounds=3), [1, 2], announcer))
    assert [tuple(report.data["shape"].values()) for report in reports] == list(shapes)
    for report in reports:
        data = json.loads(json.dumps(report.data, allow_nan=False))
        ways = [(section.name, way.name) for section in SECTIONS for way in section.ways]
        assert [(row["section"], row["name"]) for row in data["rows"]] == ways
        assert len([row for row in report.rows if row]) == len(ways)
        for row in data["rows"]:
            medians = [Statistics.of(seconds).median for seconds in row["seconds"].values()]
            assert [len(seconds) for seconds in row["seconds"].values()] == [3, 3]
            sequences = data["shape"]["replicas"] * data["shape"]["sequences"]
            assert row["sequences_per_second"] == pytest.approx(sequences / min(medians))
            assert row["name"].startswith("rnnbench") == (row["ratio"]["median"] == 1.0)


@pytest.mark.parametrize("place", range(len(SECTIONS)))
def test_a_peer_that_computes_something_else_ends_the_measurement(place, announcer, monkeypatch):
    wrong = Way("a fake", lambda case, threads: Computation(lambda: torch.ones_like(case.theta), lambda rows: rows))
    spoiled = replace(SECTIONS[place], ways=(*SECTIONS[place].ways, wrong))
    monkeypatch.setattr(engine, "SECTIONS", [spoiled])
    with pytest.raises(MismatchError, match="a fake and rnnbench give different results"):
        list(measure_engine(Options(shapes=(SHAPE,), rounds=1), [1], announcer))


def test_a_shape_beyond_memory_is_refused_before_any_work(announcer, monkeypatch):
    monkeypatch.setattr(engine, "make_case", None)
    with pytest.raises(ConfigError, match=r"--shape 1,1000000,1000,100: .* GiB are available"):
        next(measure_engine(Options(shapes=(SHAPE, Shape(1, 10**6, 1000, 100))), [1], announcer))
