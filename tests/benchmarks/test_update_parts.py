"""Updates of whole runs: their parts, their batches, their probes."""

import pytest

from benchmarks import hf, probes, tasks
from benchmarks.hf import measure_hf
from benchmarks.options import Options
from rnnbench.bench import record_costs
from rnnbench.paths import conf_dir

pytestmark = pytest.mark.usefixtures("tiny_runs")


def test_both_kinds_of_update_are_measured(announcer, monkeypatch):
    monkeypatch.setattr(hf, "NAG_UPDATES", 2)
    monkeypatch.setattr(hf, "measure_comparison", lambda *arguments, seconds: iter(()))
    reports = list(measure_hf(Options(rounds=2), [1, 2], announcer))
    assert [report.data["threads"] for report in reports] == [[1, 2], [1, 2]]
    for report in reports:
        assert all(sum(shares.values()) == pytest.approx(1) for shares in report.data["shares"].values())
    assert reports[0].data["products"]["1"][0] > 0
    assert reports[1].data["products"] == {"1": [0, 0], "2": [0, 0]}


def test_batches_beside_the_updates_that_use_them(announcer, monkeypatch):
    monkeypatch.setattr(tasks, "packaged_tasks", lambda: ["adding"])
    monkeypatch.setattr(tasks, "variants", lambda name: ("hf11", "urnn16"))
    (report,) = tasks.measure_tasks(Options(rounds=2), [1, 2], announcer)
    assert report.data["threads"] == 2
    assert [(row["task"], row["variant"]) for row in report.data["rows"]] == [("adding", "hf11"), ("adding", "urnn16")]
    for row in report.data["rows"]:
        found = {name: one["median"] for name, one in row["statistics"].items()}
        assert row["shares"]["nag"] == found["nag batch"] / found["nag update"]
        assert row["shares"]["hf"] == pytest.approx(16 / 8 * found["hf batch"] / row["hf_update"])  # 8 + 4 + 4 drawn


def test_every_probe_of_every_set_is_measured(announcer, monkeypatch):
    monkeypatch.setattr(record_costs, "READING_SECONDS", 0.0)
    reports = list(probes.measure_probes(Options(rounds=2), [1], announcer))
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
