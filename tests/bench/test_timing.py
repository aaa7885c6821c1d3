import os
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.bench import timing
from rnnbench.bench.timing import Lanes, Statistics, Variant, confined, interleave, rotated

SECONDS = st.lists(st.floats(1e-6, 1e3), min_size=2, max_size=30)


@given(SECONDS)
def test_statistics_are_median_and_quartiles(values):
    found = Statistics.of(values)
    lower, median, upper = statistics.quantiles(values, n=4, method="inclusive")
    assert [found.lower, found.median, found.upper] == pytest.approx([lower, median, upper], rel=1e-12)


@given(SECONDS, st.floats(0.1, 10))
def test_ratios_are_taken_round_by_round(base, factor):
    found = Statistics.of_ratio([factor * value for value in base], base)
    assert [found.lower, found.median, found.upper] == pytest.approx([factor] * 3, rel=1e-12)


def test_ratios_need_the_same_rounds():
    with pytest.raises(ValueError, match="zip"):
        Statistics.of_ratio([1.0, 2.0], [1.0])


def recording(names):
    calls = []
    return calls, [Variant(name, lambda name=name: calls.append(name)) for name in names]


def test_rounds_are_interleaved_and_each_begins_with_another_variant(lanes, monkeypatch):
    monkeypatch.setattr(timing, "BURST_SECONDS", 0.0)  # one call in a round
    calls, variants = recording("abc")
    found = interleave(variants, lanes, rounds=4, seconds=0.0)
    assert calls[:6] == list("aabbcc")  # warm-up, and how long a call takes
    assert calls[6:] == list("abc" + "bca" + "cab" + "abc")
    assert {name: len(rounds) for name, rounds in found.items()} == {"a": 4, "b": 4, "c": 4}


def test_short_work_is_repeated_within_a_round(lanes):
    calls, variants = recording("a")
    interleave(variants, lanes, rounds=1, seconds=0.0)
    assert len(calls) > 100


def test_rounds_end_with_the_time_but_not_before_a_few(lanes, monkeypatch):
    monkeypatch.setattr(timing, "BURST_SECONDS", 0.0)
    _, variants = recording("ab")
    assert len(interleave(variants, lanes, rounds=None, seconds=0.0)["a"]) == timing.MIN_ROUNDS
    monkeypatch.setattr(timing, "MAX_ROUNDS", 7)
    assert len(interleave(variants, lanes, rounds=None, seconds=1e9)["a"]) == 7


def test_rotation_keeps_the_order():
    _, variants = recording("abcd")
    assert [variant.name for variant in rotated(variants, 6)] == list("cdab")


def test_the_time_of_a_call_is_its_mean(monkeypatch):
    ticks = iter([10.0, 16.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(ticks))
    assert timing._time(lambda: None, 3) == 2.0


def test_a_lane_flushes_denormals_or_leaves_them(lanes):
    def halve():
        return (torch.full((64,), 1.5e-38) * 0.5).max().item()

    assert lanes.call(halve) == 0.0
    assert lanes.call(halve, flushes=False) > 0.0


def test_a_variant_runs_under_its_circumstances(lanes):
    seen = []

    def run():
        processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        seen.append((torch.get_num_threads(), (torch.full((64,), 1.5e-38) * 0.5).max().item() > 0, processors))

    Variant("", run, torch_threads=3, flushes=False, cores=1).call(lanes, 1)
    assert seen == [(3, True, 1)]


def test_lanes_give_the_number_of_threads_back():
    before = torch.get_num_threads()
    with Lanes() as lanes:
        assert lanes.call(torch.get_num_threads, torch_threads=before + 2) == before + 2
        assert lanes.call(torch.get_num_threads) == 1
    assert torch.get_num_threads() == before


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system cannot confine a process")
def test_confined_to_one_processor_and_back():
    before = os.sched_getaffinity(0)
    with confined(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before
    with confined(None):
        assert os.sched_getaffinity(0) == before


def test_statistics_of_one_round():
    assert Statistics.of([np.float64(2.0)]) == Statistics(2.0, 2.0, 2.0)
