import io
import json
import os
import threading
import time
from pathlib import Path

import pytest
import torch

from benchmarks import commands, sweep, sweep_growth, watched
from benchmarks.commands import CommandError, Outcome, run_python
from benchmarks.options import Options
from benchmarks.runs import bare_run
from benchmarks.sweep_growth import Size
from benchmarks.torch_seeds import train_seeds
from rnnbench.bench.case import MismatchError
from rnnbench.bench.options import Shape
from rnnbench.bench.report import print_report

TINY = sweep.Sizes(seeds=2, updates=3, logged_replicas=2, logged_updates=4, growth=(1, 2, 3), planned_seeds=1)
SAID = [
    (1.0, "rnnbench: 4 jobs -> runs/x"),
    (3.0, "rnnbench: 4 jobs in 1 batched run"),
    (6.0, "update 0/1  0/4 solved"),
]


# ---------------------------------------------------------------- commands


def test_a_command_is_timed_and_its_lines_with_it(tmp_path):
    code = "import sys, time; print('a', file=sys.stderr, flush=True); time.sleep(1); print('b', file=sys.stderr)"
    outcome = run_python(["-c", f"{code}; print('result'); import os; print(os.getcwd())"], cwd=tmp_path)
    assert [line for _, line in outcome.stderr] == ["a", "b"]
    assert outcome.output == f"result\n{tmp_path}\n"
    assert outcome.seconds_until("b") - outcome.seconds_until("a") > 0.19
    assert outcome.seconds >= outcome.seconds_until("b")
    with pytest.raises(CommandError, match="never printed 'c'"):
        outcome.seconds_until("c")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell")
def test_memory_and_files_are_the_commands_own():
    held = bytearray(b"x") * (300 * 2**20)  # ours, which is not to count
    wait = f"import time; time.sleep({40 * commands.SECONDS_BETWEEN_POLLS})"
    plain = run_python(["-c", wait])
    files = f"files = [open({os.devnull!r}) for _ in range(20)]"
    large = run_python(["-c", f"{files}; x = bytearray(b'x') * (100 * 2**20); {wait}; del x; {wait}"])
    del held
    assert 90 * 2**20 < large.peak_bytes - plain.peak_bytes < 120 * 2**20
    assert large.open_files >= 20 > plain.open_files


def test_a_command_that_fails_is_said_with_its_last_lines():
    with pytest.raises(CommandError, match=r"exit status 3: no \| way"):
        run_python(["-c", "import sys; print('no\\nway', file=sys.stderr); sys.exit(3)"])


# ---------------------------------------------------------------- side by side


def test_the_peer_trains_as_rnnbench_does():
    shape, updates = Shape(2, 3, 30, 5), 40  # of unequal lengths; more updates than are drawn at once
    words = [f"task.sequence_length={shape.steps}", f"model.hidden_size={shape.units}", "dtype=float64"]
    words += ["optim=nag", f"optim.batch_size={shape.sequences}", "optim.form=torch", "optim.lr=1e-3"]
    words += ["optim.momentum=0.9", "optim.initial_momentum=0.9"]
    run = bare_run(words, shape.replicas, 1)
    for _ in range(updates):
        run.update()
    expected = run.problem.evaluate(run.theta)["loss/eval"]
    run.close()
    found = torch.tensor(train_seeds(shape, updates, 1e-3, 0.9, torch.float64), dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)
    start = torch.tensor(train_seeds(shape, 0, 1e-3, 0.9, torch.float64), dtype=torch.float64)
    assert (start - found).abs().min() > 1e-3


def test_losses_are_compared_seed_by_seed():
    assert sweep.check_losses("x", [1.01, 2.0], [1.0, 2.0]) == pytest.approx(0.01)
    for wrong in ([1.0, 2.2], [float("nan"), 2.0]):
        with pytest.raises(MismatchError, match="x does not train like"):
            sweep.check_losses("x", wrong, [1.0, 2.0])


def test_ratios_are_taken_round_by_round():
    times = {sweep.BATCHED: [10.0, 30.0, 20.0], sweep.BASIC: [50.0, 120.0, 100.0], sweep.TORCH: [100.0, 240.0, 160.0]}
    found = {name: [Outcome(one) for one in those] for name, those in times.items()}
    report = sweep.report_comparison(Shape(32, 20, 50, 50), 2000, found, 1e-6, is_full=True)
    assert [row[1:] for row in report.rows] == [
        ["20.0", "1.000", "-"],
        ["100.0", "0.200", "0.250"],
        ["160.0", "0.125", "0.125"],
    ]
    short = sweep.report_comparison(Shape(8, 20, 50, 50), 100, found, 1e-6, is_full=False)
    assert [row[3] for row in short.rows] == ["-", "-", "-"]
    assert "the targets do not apply" in short.notes[-1]


# ---------------------------------------------------------------- records


def test_calls_inside_each_other_count_once(monkeypatch):
    accounts = watched.Accounts()
    ticks = iter([1.0, 3.0, 8.0])  # the inner call ends without a look
    monkeypatch.setattr(time, "thread_time", lambda: next(ticks))
    inner = accounts.of_the_training_thread(lambda: "done")
    outer = accounts.of_the_training_thread(lambda: inner())
    assert outer() == "done"
    assert accounts.logging[watched.TRAINING] == 7.0


def test_threads_are_known_by_their_names():
    accounts = watched.Accounts()
    run = accounts.of_other_threads(lambda thread: sum(range(10**6)))
    for name in ("rnnbench-probes_0", "records", "records", "engine"):
        thread = threading.Thread(name=name)
        beside = threading.Thread(target=run, args=(thread,))
        beside.start()
        beside.join()
    seconds = accounts.logging
    assert seconds[watched.RECORDS] > seconds[watched.PROBES] > 0
    assert seconds[watched.TRAINING] == 0


def test_shares_of_a_run():
    account = {"wall": 11.0, "processor": 20.0, "logging": {"training": 0.2, "rnnbench-probes": 1.0, "records": 0.4}}
    report = sweep.report_records(256, 1000, {"with": [account], "without": [{**account, "wall": 10.0}]})
    assert [row and row[1:] for row in report.rows] == [
        ["0.20", "1.0 %"],
        ["1.00", "5.0 %"],
        ["0.40", "2.0 %"],
        None,
        ["1.60", "8.0 %"],
        ["20.00", "100.0 %"],
    ]
    assert report.data["wall_ratio"]["median"] == pytest.approx(1.1)


@pytest.mark.slow
def test_what_is_watched_is_the_plain_command(tmp_path):
    words = ["train", "-m", "seed=0,1", "optim=nag", "task.sequence_length=12", "model.hidden_size=4", "threads=1"]
    words += ["optim.batch_size=3", "budget.updates=4", "record.log_every=2", "record.evaluate_every=2"]
    for kept in ("with", "without"):
        own = [*words, f"hydra.sweep.dir={tmp_path / kept}"]
        run_python(["-m", "benchmarks.watched", str(tmp_path / f"{kept}.json"), kept, *own])
    found = {kept: json.loads((tmp_path / f"{kept}.json").read_text()) for kept in ("with", "without")}
    for account in found.values():
        assert 0 < sum(account["logging"].values()) < account["processor"]
        assert account["wall"] > 0
    assert min(found["with"]["logging"].values()) > 0
    assert found["without"]["logging"]["rnnbench-probes"] == 0
    rows = (tmp_path / "with" / "1" / "metrics.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["update", "0", "2", "4"]
    assert len((tmp_path / "without" / "1" / "metrics.csv").read_text().splitlines()) == 1


# ---------------------------------------------------------------- growth and planning


def test_growth_is_told_by_replica():
    megabyte = 2**20
    sizes = {
        1: Size(1, 0.001, 4.0, 300 * megabyte, 20),
        200: Size(200, 0.02, 10.0, (300 + 199) * megabyte, 21),
        1000: Size(1000, 0.1, 30.0, (300 + 999) * megabyte, 21),
        2000: Size(2000, 0.1, 60.0, (300 + 2 * 1999) * megabyte, 21),
    }
    report = sweep_growth.growth_table(sizes, {size: [one] for size, one in sizes.items()})
    assert report.rows[-1] == ["2000", "50.0", "30.0", "4,298", "2.00", "21"]
    assert report.data["update_ratio"] == pytest.approx(0.5)  # against 200, not against 1000
    assert report.data["memory_ratio"] == pytest.approx(2.0)
    assert "0.50 of the time per update with 200, and 2.00 of the memory" in report.notes[0]


def test_growth_where_the_system_tells_no_memory():
    sizes = {size: Size(size, 0.001, 4.0, None, None) for size in (1, 20, 200)}
    report = sweep_growth.growth_table(sizes, {size: [one] for size, one in sizes.items()})
    assert report.rows[-1][3:] == ["-", "-", "-"]
    assert "memory_ratio" not in report.data


def test_an_update_is_timed_between_two_rows(tmp_path):
    path, every = tmp_path / "metrics.csv", sweep_growth.LOG_EVERY
    path.write_text(f"update,time/seconds\n0,0\n{every},5\n{2 * every},6\n{2 * every + 10},9\n")
    assert sweep_growth.seconds_of_an_update(path) == pytest.approx(1 / every)
    path.write_text("update,time/seconds\n0,0\n")
    with pytest.raises(CommandError, match=f"no row of update {2 * every}"):
        sweep_growth.seconds_of_an_update(path)


def test_planning_is_told_by_what_the_command_says():
    report = sweep_growth.planning_table(4, [Outcome(9.0, SAID), Outcome(11.0, SAID), Outcome(10.0, SAID)])
    assert [row[1] for row in report.rows] == ["1.0", "3.0", "6.0", "10.0"]
    assert report.rows[2][2] == "1500.0"
    assert report.data["first_update"]["median"] == 6.0


# ---------------------------------------------------------------- all of it


def _fake(asked):
    """A command that leaves what is read of it."""

    def run(words):
        asked.append(list(words))
        folder = next((Path(word.partition("=")[2]) for word in words if word.startswith("hydra.sweep.dir=")), None)
        if "benchmarks.torch_seeds" in words:
            return Outcome(8.0, output="[0.5, 0.25]")
        for seed, loss in enumerate([0.5, 0.25]):
            (folder / str(seed)).mkdir(parents=True)
            (folder / str(seed) / "summary.json").write_text(json.dumps({"loss": loss}))
        rows = "".join(f"{update},{update}\n" for update in range(0, sweep_growth.UPDATES, sweep_growth.LOG_EVERY))
        (folder / "0" / "metrics.csv").write_text("update,time/seconds\n" + rows)
        if "benchmarks.watched" in words:
            account = {"wall": 1.0, "processor": 2.0, "logging": dict.fromkeys(["training", "rnnbench-probes"], 0.1)}
            Path(words[2]).write_text(json.dumps(account | {"logging": account["logging"] | {"records": 0.1}}))
        return Outcome(4.0 if "hydra/launcher=basic" in words else 1.0, SAID, "", 2**20 * len(words), 9)

    return run


def test_everything_is_measured_in_turn(monkeypatch, announcer):
    asked = []
    monkeypatch.setattr(sweep, "run_python", _fake(asked))
    monkeypatch.setattr(sweep_growth, "run_python", _fake(asked))
    monkeypatch.setattr(sweep, "FULL", TINY)
    reports = list(sweep.measure_sweep(Options(group="sweep", full=True, rounds=2, threads=1), [1], announcer))
    assert [report.data["part"] for report in reports] == ["comparison", "records", "growth", "planning"]
    ratios = {name: one["median"] for name, one in reports[0].data["ratios"].items()}
    assert ratios == {sweep.BATCHED: 1.0, sweep.BASIC: 0.25, sweep.TORCH: 0.125}
    assert reports[1].data["share"]["median"] == pytest.approx(0.15)
    assert len(asked) == 2 * (3 + 2 + 3 + 1)
    kept = [words[3] for words in asked if "benchmarks.watched" in words]
    assert kept == ["with", "without", "without", "with"]
    assert all("threads=1" in words for words in asked if "train" in words)
    for report in reports:
        json.dumps(report.data, allow_nan=False)
        print_report(report, io.StringIO())


def test_the_words_that_are_typed_are_words_of_the_command(monkeypatch, announcer):
    from rnnbench.config.plan import make_plan
    from rnnbench.config.request import parse_request

    asked = []
    monkeypatch.setattr(sweep, "run_python", _fake(asked))
    monkeypatch.setattr(sweep_growth, "run_python", _fake(asked))
    monkeypatch.setattr(sweep, "SHORT", TINY)
    list(sweep.measure_sweep(Options(group="sweep"), [1], announcer))
    trained = [words[words.index("train") + 1 :] for words in asked if "train" in words]
    assert [len(make_plan(parse_request(words)).configs) for words in trained] == [2, 2, 2, 2, 1, 2, 3, 4]
