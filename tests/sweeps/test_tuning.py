"""`rnnbench tune`: the search, its best setting with fresh seeds, and resuming either."""

import json
import os
import shutil
import signal
from pathlib import Path
from unittest.mock import MagicMock

import pytest
import yaml
from small_sweeps import NAG, Rnnbench, assert_same_sweep, at_update, jobs_of, summary_of

import rnnbench.sweeps.tuning
from rnnbench.cli import main
from rnnbench.commands.tune import parse_options, plan_tuning
from rnnbench.config.errors import ConfigError
from rnnbench.records.summary import SolvedAt, Summary
from rnnbench.records.tuning import read_tuning
from rnnbench.sweeps.closing import Outcome, sweep_summary
from rnnbench.sweeps.plan import read_plan
from rnnbench.sweeps.tuning import Trial, best_of, trials_of
from rnnbench.sweeps.tuning_closing import first_solving

SMALL = ("--trials=3", *NAG)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished tuning, not to be changed, and the command that made it."""
    calls = Rnnbench(tmp_path_factory.mktemp("tuned"))
    folder = calls.root / "s"
    yield folder, calls("tune", "-q", *SMALL, f"hydra.sweep.dir={folder}")
    calls.close()


def test_the_best_setting_is_trained_with_fresh_seeds(whole):
    folder, command = whole
    assert len(jobs_of(folder / "search")) == 9
    configs = [summary_of(job)["config"] for job in jobs_of(folder / "confirmation")]
    assert [config["seed"] for config in configs] == list(range(3, 19))
    losses = {}
    for job in jobs_of(folder / "search"):
        summary = summary_of(job)
        assert not summary["solved"]  # so that the loss decides
        losses.setdefault(summary["config"]["optim"]["lr"], []).append(summary["loss"])
    best = min(losses, key=lambda lr: sorted(losses[lr])[1])
    assert {config["optim"]["lr"] for config in configs} == {best}
    assert f"optim.lr={best}" in command.out.splitlines()[-1]
    assert command.out.startswith("s: the best of 3 settings solved 0 of 16 fresh seeds (95 % interval 0 .. 19 %)")
    assert f"train it  rnnbench train {NAG[0]}" in command.out.replace(f"{Path(os.sys.executable).parent}/", "")


def test_a_confirming_run_has_hydras_files(whole):
    job = whole[0] / "confirmation" / "4"
    assert yaml.safe_load((job / ".hydra/config.yaml").read_text())["seed"] == 7
    assert "seed=7" in yaml.safe_load((job / ".hydra/overrides.yaml").read_text())
    hydra = yaml.safe_load((job / ".hydra/hydra.yaml").read_text())["hydra"]
    assert (hydra["job"]["num"], hydra["runtime"]["output_dir"]) == (4, str(job))


def stop(observer):
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_search_that_is_resumed_is_the_unbroken_one(whole, rnnbench):
    folder = rnnbench.root / "s"
    command = rnnbench.start("tune", "-q", *SMALL, f"hydra.sweep.dir={folder}", before=at_update, given=(12, stop))
    assert command.status() == 143
    assert command.out.startswith("s: not finished\n")
    assert f"resume {folder}" in command.out or "resume" in command.out.splitlines()[-1]
    assert not (folder / "confirmation").exists()
    rnnbench("resume", "-q", folder / "search")  # which stands for the whole
    for sweep in ("search", "confirmation"):
        assert_same_sweep(whole[0] / sweep, folder / sweep)


def test_a_confirmation_that_is_missing_or_finished(whole, rnnbench):
    folder = rnnbench.copy("s", whole[0])
    shutil.rmtree(folder / "confirmation")
    assert rnnbench("resume", "-q", folder).out == whole[1].out
    assert_same_sweep(whole[0] / "confirmation", folder / "confirmation")
    assert rnnbench("resume", "-q", folder).out == whole[1].out


def test_what_cannot_be_resumed_is_one_line(whole, tmp_path, capsys):
    folder = tmp_path / "s"
    (folder / "search").mkdir(parents=True)
    shutil.copy(whole[0] / "tune.json", folder)
    assert main(["resume", str(folder)]) == 2
    assert "has not begun its search" in capsys.readouterr().err
    assert main(["resume", str(folder), "budget.updates=90"]) == 2
    assert "trials all have the same budget" in capsys.readouterr().err
    contents = json.loads((folder / "tune.json").read_text())
    (folder / "tune.json").write_text(json.dumps({**contents, "seeds": ["0"]}))
    assert main(["resume", str(folder)]) == 2
    assert "tune.json is damaged" in capsys.readouterr().err
    words = [f"hydra.sweep.dir={folder}", "optim=nag"]
    assert plan_tuning(parse_options(words)[1], 2)[0].folder == folder  # it begins again
    (folder / "search/sweep.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a search already"):
        plan_tuning(parse_options(words)[1], 2)


def test_the_summary_of_a_part_advises_nothing_that_is_refused(whole):
    for sweep in ("search", "confirmation"):
        assert "resume" not in sweep_summary(read_plan(whole[0] / sweep)).plain


RAISING = """
from dataclasses import dataclass
from rnnbench.optim.sgd import Sgd

@dataclass(frozen=True, eq=False, kw_only=True)
class Raising(Sgd):
    def update(self, theta, state, update, draw):
        if update == 7 and bool((self.lr > 0.1).any()):
            raise ArithmeticError("too large")
        return super().update(theta, state, update, draw)
"""


def test_a_setting_that_fails_counts_as_the_worst_and_ends_no_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my/optim").mkdir(parents=True)
    (tmp_path / "my/raising_optimizer.py").write_text(RAISING)
    head = "# Raises.\ndefaults: [sgd, _self_]\nname: raising\n_target_: raising_optimizer.Raising\n"
    (tmp_path / "my/optim/raising.yaml").write_text(f"{head}tune: {{lr: [0.01, 0.3]}}\n")
    words = ["--trials=4", "--config-dir=my", *NAG, "optim=raising", "budget.updates=10", "hydra.sweep.dir=tuned"]
    words.append("hydra.launcher.backend=inline")
    interrupted = MagicMock(side_effect=KeyboardInterrupt)
    with monkeypatch.context() as patch:
        patch.setattr(rnnbench.sweeps.tuning, "confirm", interrupted)
        assert main(["tune", "-q", *words]) == 130
    assert "rnnbench: continue  rnnbench resume " in capsys.readouterr().err
    for _ in range(2):  # once more when all is finished
        assert main(["resume", "tuned", "--config-dir=my"]) in (0, 1)
        out = capsys.readouterr().out
        assert out.startswith("tuned: the best of 4 settings solved")
    trials = trials_of(read_plan(tmp_path / "tuned/search"), read_tuning(tmp_path / "tuned"))
    assert [each.has_failed for each in trials] == [each.values["optim.lr"] > 0.1 for each in trials]
    assert len({each.has_failed for each in trials}) == 2
    assert all(summary_of(job)["updates"] == 10 for job in jobs_of(tmp_path / "tuned/confirmation"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-m"], "-m is an option of rnnbench train"),
        (["--trials=1"], "whole number >= 2"),
        (["--trials=x"], "whole number >= 2"),
        (["--cfg", "job"], "takes KEY=VALUE"),
        (["optim=nag", "hydra/launcher=basic"], "needs hydra/launcher=batched"),
    ],
)
def test_bad_input(words, message):
    with pytest.raises(ConfigError, match=message):
        plan_tuning(*reversed(parse_options(words)))


def trial(number, *runs):
    """A trial whose runs are (sequences until solved, or None; loss)."""
    outcomes = []
    for sequences, loss in runs:
        at = None if sequences is None else SolvedAt(1, sequences, 1.0)
        status = "budget" if at is None else "solved"
        summary = Summary(status=status, solved=at is not None, solved_at=at, loss=loss, sequences=sequences or 100)
        outcomes.append(Outcome("0", status, summary))
    return Trial(number, {}, (), outcomes)


def test_the_best_is_the_share_solved_then_the_sequences_then_the_loss():
    low_loss = trial(1, (None, 0.01), (None, 0.01), (None, 0.01))
    high_loss = trial(2, (None, 0.02), (None, 0.02), (None, 0.02))
    two = trial(3, (10, 0.3), (10, 0.3), (None, 0.3))
    slow = trial(4, (90, 0.2), (80, 0.2), (70, 0.2))
    fast = trial(5, (30, 0.3), (95, 0.3), (20, 0.3))
    trials = [high_loss, low_loss, two, slow, fast, trial(6, (30, 0.3), (95, 0.3), (20, 0.3))]
    order = []
    while trials:
        order.append(best_of(trials).number)
        trials = [each for each in trials if each.number != order[-1]]
    assert order == [5, 6, 4, 3, 1, 2]
    assert "3 of 5 settings" in first_solving([low_loss, high_loss, two, slow, fast])
    assert first_solving([low_loss, high_loss, two, slow, fast]).endswith("the first of them was trial 3")
