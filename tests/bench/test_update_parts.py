import time
from types import SimpleNamespace

import pytest
import torch

from rnnbench.bench import hf, probes, tasks
from rnnbench.bench.hf import Times, measure_hf, report_parts
from rnnbench.bench.options import Options
from rnnbench.bench.session import HF_RUN, NAG_REPLICAS, NAG_RUN, PARTS, REST, VECTORS, Clock, Session
from rnnbench.paths import conf_dir
from rnnbench.tasks.table import TASKS, variants


@pytest.mark.parametrize("overrides", [HF_RUN, NAG_RUN])
def test_a_timed_update_is_the_plain_one(overrides, make_run):
    plain, timed = (Session(make_run, overrides, 2, 1) for _ in range(2))
    clock = Clock()
    for _ in range(3):
        start = time.perf_counter()
        before = sum(clock.seconds.values())
        timed.update(clock)
        spent = time.perf_counter() - start
        assert 0 < sum(clock.seconds.values()) - before <= spent
        plain.update()
    assert torch.equal(plain.theta, timed.theta)
    expected = set(PARTS) if overrides is HF_RUN else {"batches", "gradient", REST}
    assert set(clock.seconds) == expected


def test_a_warm_up_changes_nothing(make_run):
    session = Session(make_run, HF_RUN, 1, 1)
    before = session.theta.clone()
    session.warm_up()
    assert torch.equal(session.theta, before)
    session.update()
    assert not torch.equal(session.theta, before)


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


def test_shares_of_an_update():
    times = Times([{"batches": 1.0, "products": 6.0, REST: 1.0}, {"batches": 2.0, "products": 6.0}], [30.0, 30.0])
    report = report_parts("title", 1, 1, times)
    assert report.data["shares"] == {"batches": 3 / 16, "products": 12 / 16, REST: 1 / 16}
    assert report.data["overhead_share"] == 4 / 16
    assert report.data["products_per_second"] == 5.0
    assert report.data["update"]["median"] == 8.0


def test_both_kinds_of_update_are_measured(make_run, announcer, monkeypatch):
    monkeypatch.setattr(hf, "NAG_UPDATES", 2)
    monkeypatch.setattr(hf, "measure_comparison", lambda *arguments, seconds: iter(()))
    reports = list(measure_hf(Options(rounds=2), [1, 2], announcer, make_run=make_run))
    assert [report.data["threads"] for report in reports] == [1, 2, 1, 2]
    for report in reports:
        assert sum(report.data["shares"].values()) == pytest.approx(1)
    assert "products_per_second" in reports[0].data
    assert reports[2].data["products"] == [0, 0]


def test_batches_beside_the_updates_that_use_them(make_run, announcer, monkeypatch):
    monkeypatch.setattr(tasks, "TASKS", ["adding"])
    monkeypatch.setattr(tasks, "variants", lambda name: ("hf11", "urnn16"))
    (report,) = tasks.measure_tasks(Options(rounds=2), [1, 2], announcer, make_run=make_run)
    assert report.data["threads"] == 2
    assert [(row["task"], row["variant"]) for row in report.data["rows"]] == [("adding", "hf11"), ("adding", "urnn16")]
    for row in report.data["rows"]:
        found = {name: one["median"] for name, one in row["statistics"].items()}
        assert row["shares"]["nag"] == found["nag batch"] / found["nag update"]
        assert row["shares"]["hf"] == pytest.approx(16 / 8 * found["hf batch"] / row["hf_update"])  # 8 + 4 + 4 drawn


def test_every_variant_of_every_task_can_be_made(make_run):
    for name in TASKS:
        for variant in variants(name):
            session = Session(make_run, [*NAG_RUN, f"task={name}", f"task.variant={variant}"], NAG_REPLICAS, 1)
            assert session.config.task.variant == variant


def test_every_probe_of_every_set_is_measured(make_run, announcer, monkeypatch):
    monkeypatch.setattr(probes, "READING_SECONDS", 0.0)
    reports = list(probes.measure_probes(Options(rounds=2), [1], announcer, make_run=make_run))
    assert [report.data["log_every"] for report in reports] == [1, 2]
    for report in reports:
        found = report.data["sets"]
        assert next(iter(found)) == "default"
        assert set(found) == {path.stem for path in (conf_dir() / "probe").glob("*.yaml")} - {"none"}
        assert set(found["default"]) == {"gradient_norm", "state_gradient", "state_jacobian", "recurrent_weight"}
        assert {"curvature", "gradient_by_lag", "gradient_noise", "alignment"} < set(found["curvature"])
        assert all(cost["capture"] > 0 and cost["read"] > 0 for costs in found.values() for cost in costs.values())
        assert {row[0] for row in report.rows if row} >= {f"all of probe={name}" for name in found}
        assert {name: len(seconds) for name, seconds in report.data["wall"]["seconds"].items()} == {
            "with": 2,
            "without": 2,
            "updates": 2,
        }


def test_readings_and_pictures_count_at_their_own_cadence(make_run, monkeypatch):
    monkeypatch.setattr(probes, "_read_once", lambda probe, view: (1.0, 10.0, 20.0))
    session = Session(make_run, HF_RUN, 1, 1)
    update = SimpleNamespace(gradient=SimpleNamespace(gradient=None))
    costs = {name: probes._cost(probe, 4, session, None, update) for name, probe in session.probes.items()}
    assert costs["state_jacobian"] == probes.Cost(4, 10, 1.0, 10.0, 20.0)
    assert (costs["state_jacobian"].captured, costs["state_jacobian"].done) == (0.25, 10 / 4 + 20 / 20)
    assert costs["gradient_norm"].done == 10 / 4


def test_a_probe_that_takes_long_is_read_once(make_run, monkeypatch):
    monkeypatch.setattr(probes, "READING_SECONDS", 0.0)
    readings = []
    monkeypatch.setattr(probes, "_read_once", lambda probe, view: readings.append(view) or (1.0, 10.0, 20.0))
    update = SimpleNamespace(gradient=SimpleNamespace(gradient=None))
    probes._cost(object(), 1, Session(make_run, HF_RUN, 1, 1), None, update)
    assert len(readings) == 1
