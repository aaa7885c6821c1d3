"""The parts of an update of a run, and what probes and records cost."""

import json
import time
from types import SimpleNamespace

import pytest
import torch

from rnnbench.bench import record_costs, update
from rnnbench.bench.bare_run import BareRun
from rnnbench.bench.clock import GRADIENT, REST, VECTORS, Clock
from rnnbench.bench.options import Options
from rnnbench.bench.record_costs import ProbeCost, probe_costs, record_cost
from rnnbench.bench.update import measure_update
from rnnbench.bench.update_table import BACKWARD, FORWARD, UPDATE_PARTS, LoopCosts, Times, report_update
from rnnbench.config.errors import ConfigError
from rnnbench.config.plan import make_plan
from rnnbench.config.request import parse_request
from rnnbench.run.setup import set_up

HF = [
    "optim=hf",
    "task.sequence_length=12",
    "model.hidden_size=5",
    "optim.gradient_batch_size=8",
    "optim.curvature_batch_size=4",
    "optim.max_cg_iterations=3",
]
NAG = [
    "-m",
    "optim=nag",
    "seed=0,1",
    "task.sequence_length=21",
    "model.hidden_size=4",
    "optim.batch_size=3",
    "record.log_every=2",
]


def configs_of(words):
    return make_plan(parse_request(words)).configs


def bare_run(words):
    configs = configs_of(words)
    return BareRun(set_up(configs), [config.seed for config in configs], 1)


@pytest.mark.parametrize("words", [HF, NAG], ids=["hf", "nag"])
def test_a_timed_update_is_the_plain_one(words):
    plain, timed = (bare_run(words) for _ in range(2))
    clock = timed.clock()
    for _ in range(3):
        start = time.perf_counter()
        before = sum(clock.seconds.values())
        timed.update(clock)
        spent = time.perf_counter() - start
        assert 0 < sum(clock.seconds.values()) - before <= spent
        plain.update()
    assert torch.equal(plain.theta, timed.theta)
    parts = {*UPDATE_PARTS, GRADIENT} - {FORWARD, BACKWARD} if words is HF else {"batches", GRADIENT, REST}
    assert set(clock.seconds) == parts


def test_a_warm_up_changes_nothing():
    run = bare_run(HF)
    before = run.theta.clone()
    run.warm_up()
    assert torch.equal(run.theta, before)
    run.update()
    assert not torch.equal(run.theta, before)


def test_the_clock_gives_gaps_to_the_part_that_opened_them(monkeypatch):
    ticks = iter([0.0, 0.0, 1.0, 3.0, 4.0, 8.0, 9.0, 16.0, 17.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    clock = Clock()
    clock.start()
    with clock.part("linearize", then=VECTORS):  # 1 .. 3
        pass
    with clock.part("products"):  # 4 .. 8
        pass
    with clock.part("batches", then=REST):  # 9 .. 16
        pass
    clock.stop()
    assert clock.seconds == {REST: 2.0, "linearize": 2.0, VECTORS: 2.0, "products": 4.0, "batches": 7.0}


@pytest.mark.parametrize(
    ("words", "threads", "replicas"), [(HF, [1, 2], 1), (NAG, [1, 2], 2), ([*HF, "threads=2"], [2], 1)]
)
def test_an_update_is_measured_with_every_number_of_threads(words, threads, replicas, announcer, monkeypatch):
    monkeypatch.setattr(update, "num_processors", lambda: 2)
    monkeypatch.setattr(update, "ROUND_SECONDS", 0.0)  # one update in a round
    monkeypatch.setattr(record_costs, "READING_SECONDS", 0.0)
    (report,) = measure_update(Options(group="update", rounds=2), configs_of(words), announcer)
    data = json.loads(json.dumps(report.data, allow_nan=False))
    assert f"{replicas} replica" in report.title
    assert data["threads"] == threads
    assert [len(data["seconds"][str(number)]) for number in threads] == [2] * len(threads)
    for shares in data["shares"].values():
        assert sum(shares.values()) == pytest.approx(1)
        assert shares["evaluation"] > 0
    names = [row[0] for row in report.rows if row]
    assert names[-2:] == ["all", "updates / s"]
    assert ("products" in names) == (words is not NAG)
    assert data["beside"]["probes"] > 0
    assert data["beside"]["records"] > 0
    assert any(note.startswith("threads=auto takes ") for note in report.notes) == (len(threads) > 1)


def test_shares_are_those_of_the_fastest_number_of_threads():
    slow, fast = ({"batches": 1.0, FORWARD: 2.0, BACKWARD: 4.0, "products": 6.0 * k, REST: 1.0} for k in (2, 1))
    times = {1: Times([slow, slow], [30.0, 30.0]), 2: Times([fast, fast], [30.0, 30.0])}
    loop = LoopCosts({1: 3.0, 2: 1.0}, capture=1.0, probes=0.5, records=0.25, cadence="an evaluation every update")
    report = report_update("title", 5, times, loop)
    assert report.title == "title, 10 updates"
    assert [row for row in report.rows if row and row[0] == "products"] == [["products", "12,000", "6,000", "37.5 %"]]
    assert report.rows[-2:] == [["all", "24,000", "16,000", "100.0 %"], ["updates / s", "0.0417", "0.0625", ""]]
    assert report.data["overhead_share"] == {"1": 2 / 24, "2": 2 / 16}
    assert "30 Gauss-Newton products per update; the products alone run at 5.0 per second." in report.notes
    assert "Fastest with 2 threads: 1.50 times as fast as with 1." in report.notes


def test_jobs_of_several_runs_are_refused(announcer):
    with pytest.raises(ConfigError, match="measures one batched run, but these jobs need 2"):
        next(measure_update(Options(group="update"), configs_of(["-m", "optim=nag,sgd"]), announcer))


def test_readings_and_pictures_count_at_their_own_cadence(monkeypatch):
    monkeypatch.setattr(record_costs, "_read_once", lambda probe, view: (1.0, 10.0, 20.0))
    run = bare_run(HF)
    every = {**dict.fromkeys(run.probes, 4), "gradient_norm": 0}
    costs = probe_costs(run, run.probes, every, run.theta, run.update())
    assert costs["state_jacobian"] == ProbeCost(4, 10, 1.0, 10.0, 20.0)
    assert (costs["state_jacobian"].captured, costs["state_jacobian"].done) == (0.25, 10 / 4 + 20 / 20)
    assert costs["recurrent_weight"].done == 10 / 4
    assert "gradient_norm" not in costs  # it is off


def test_a_probe_that_takes_long_is_read_once(monkeypatch):
    monkeypatch.setattr(record_costs, "READING_SECONDS", 0.0)
    readings = []
    monkeypatch.setattr(record_costs, "_read_once", lambda probe, view: readings.append(view) or (1.0, 10.0, 20.0))
    run = bare_run(HF)
    probe_costs(run, {"slow": SimpleNamespace()}, {"slow": 1}, run.theta, run.update())
    assert len(readings) == 1


def test_rows_and_a_checkpoint_are_written_and_measured():
    run = bare_run(NAG)
    cost = record_cost(run, run.update())
    assert cost.row > 0
    assert cost.checkpoint > 0
