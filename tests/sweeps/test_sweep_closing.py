"""The last lines of a sweep as a person reads them."""

import io
import shutil

import pytest
import torch
from planned import ended, plan_jobs, solved
from planned import last_lines as lines

from rnnbench.sweeps.closing import print_sweep_summary, sweep_summary
from rnnbench.training.checkpoint import save_checkpoint
from rnnbench.training.replica import Replica, Snapshot

NAG = ("optim=nag", "budget.updates=500")


def go_on(found):
    (words,) = [line.split("continue ")[1].strip() for line in found if line.startswith("  continue ")] or [None]
    return words


def test_a_finished_sweep(tmp_path):
    (tmp_path / "sweep/aggregate").mkdir(parents=True)
    rates = {
        0.01: [solved(100), solved(203), ended("budget")],
        0.1: [ended("budget"), ended("diverged", None, None)] * 2,
    }
    found = lines(
        tmp_path,
        lambda config: rates[config.optim.lr][config.seed],
        [*NAG, "optim.lr=0.01,0.1", "seed=range(0,3)"],
    )
    assert found == [
        "sweep: 2 of 6 jobs solved; 3 budget used up, 1 diverged",
        "  medians over the seeds",
        "  lr    solved  diverged  updates to solve  loss  error rate",
        "  0.01  2 of 3         0               203  0.01       0.4 %",
        "  0.1   0 of 3         1                 -   0.1      50.0 %",
        "  the constant predictor: loss 0.167, error rate 92.2 %",
        "  report     rnnbench report sweep",
        "  all runs   tensorboard --logdir sweep",
        "  aggregate  tensorboard --logdir sweep/aggregate",
        "  continue   rnnbench resume sweep budget.updates=1000",
    ]


def test_nothing_but_seeds(tmp_path):
    found = lines(tmp_path, lambda config: solved(100 * config.seed))
    assert found == [
        "sweep: all of 3 jobs solved",
        "  medians over the seeds",
        "       solved  updates to solve  loss  error rate",
        "  all  3 of 3               100  0.01       0.4 %",
        "  the constant predictor: loss 0.167, error rate 92.2 %",
        "  report    rnnbench report sweep",
        "  all runs  tensorboard --logdir sweep",
    ]


def test_jobs_below_the_limit_that_were_not_confirmed(tmp_path):
    found = lines(tmp_path, lambda config: {**ended("budget", 0.009), "solved_error_rate": 0.01})
    assert "  3 jobs not solved: below the limit at the end, but not on 10,000 further sequences" in found


def test_a_job_that_was_solved_and_went_on_is_solved(tmp_path):
    found = lines(tmp_path, lambda config: {**solved(5), "status": "budget"})
    assert found[0] == "sweep: all of 3 jobs solved"
    assert go_on(found) is None


@pytest.mark.parametrize(
    ("statuses", "first", "command"),
    [
        (
            ["interrupted", "interrupted", None],
            "not finished, none of 3 jobs solved so far; 2 interrupted, 1 not begun",
            "",
        ),
        (
            ["running", "budget", "budget"],
            "not finished, none of 3 jobs solved so far; 2 budget used up, 1 cut off",
            "",
        ),
        (["budget", "budget", None], "not finished, none of 3 jobs solved so far; 2 budget used up, 1 not begun", ""),
        (
            ["budget", "diverged", "budget"],
            "none of 3 jobs solved; 2 budget used up, 1 diverged",
            " budget.updates=1000",
        ),
        (["diverged"] * 3, "none of 3 jobs solved; 3 diverged", None),
        (["failed", "budget", "budget"], "none of 3 jobs solved; 2 budget used up, 1 failed", " budget.updates=1000"),
        (["failed"] * 3, "none of 3 jobs solved; 3 failed", ""),
    ],
)
def test_the_first_line_and_what_to_type_next(tmp_path, statuses, first, command):
    def outcome(config):
        status = statuses[config.seed]
        return None if status is None else ended(status)

    if statuses == ["failed"] * 3:
        found = lines(tmp_path, outcome)
        assert go_on(found) == "rnnbench resume sweep"  # nothing was kept, so all of them begin anew
    else:
        keep(tmp_path / "sweep", [])
        found = lines(tmp_path, outcome)
        assert go_on(found) == (None if command is None else f"rnnbench resume sweep{command}")
    assert found[0] == f"sweep: {first}"


def keep(sweep, jobs):
    """A group's checkpoint with some jobs."""
    (sweep / "groups").mkdir(parents=True)
    snapshot = Snapshot(5, 2, torch.zeros(len(jobs), 3), {}, {}, [Replica(updates=5) for _ in jobs])
    kept = {"jobs": jobs, "records": [{}] * len(jobs), "aggregate": None, "threads": 1}
    save_checkpoint(sweep / "groups/0.pt", {**snapshot.contents(), **kept})


@pytest.mark.parametrize(("kept", "command"), [(["1"], "rnnbench resume sweep"), (["0"], None), ([], None)])
def test_a_job_that_failed_goes_on_where_it_was_kept(tmp_path, kept, command):
    keep(tmp_path / "sweep", kept)
    found = lines(tmp_path, lambda config: ended("failed" if config.seed == 1 else "diverged"))
    assert go_on(found) == command


def test_a_damaged_checkpoint_is_no_way_to_go_on(tmp_path):
    (tmp_path / "sweep/groups").mkdir(parents=True)
    (tmp_path / "sweep/groups/0.pt").write_bytes(b"x")
    assert go_on(lines(tmp_path, lambda config: ended("failed"))) is None


@pytest.mark.parametrize(
    ("words", "values", "override"),
    [
        (["budget.sequences=100"], {"sequences": 100}, "budget.sequences=200"),
        (["budget.sequences=100"], {"sequences": 99}, "budget.updates=1000"),
        (["budget.minutes=0.5"], {"seconds": 30.0}, "budget.minutes=1"),
        (["budget.minutes=90.25"], {"seconds": 6000.0}, "budget.minutes=180.5"),
        ([], {}, "budget.updates=1000"),
    ],
)
def test_a_larger_budget(tmp_path, words, values, override):
    found = lines(tmp_path, lambda config: ended("budget", **values), [*NAG, *words, "seed=0,1"])
    assert go_on(found) == f"rnnbench resume sweep {override}"


def test_budgets_that_differ_have_no_common_larger_one(tmp_path):
    found = lines(tmp_path, lambda config: ended("budget"), ["optim=hf,nag"])
    assert go_on(found) is None


def test_failures(tmp_path):
    def outcome(config):
        if config.seed in (0, 4):
            return ended("failed", message="OSError: broken")
        return ended("failed", message=None) if config.seed == 1 else solved(3)

    plan = plan_jobs(tmp_path / "sweep", [*NAG, "seed=range(0,5)"])
    lines(tmp_path, outcome, plan=plan)
    shutil.rmtree(tmp_path / "sweep/2")
    (tmp_path / "sweep/3/summary.json").write_text("{")
    found = sweep_summary(plan, cwd=tmp_path).plain.splitlines()
    assert found[0] == "sweep: none of 5 jobs solved; 4 failed, 1 gone"
    assert [line for line in found if "failed: " in line] == [
        "  job 0 and 1 more failed: OSError: broken",
        "  job 1 failed: no reason is known",
        "  job 2 failed: its folder is gone",
        f"  job 3 failed: cannot read {tmp_path}/sweep/3/summary.json: "
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
    ]


def test_many_failures(tmp_path):
    found = lines(
        tmp_path, lambda config: ended("failed", message=f"reason {config.seed // 2}"), [*NAG, "seed=range(0,30)"]
    )
    assert [line for line in found if "failed: " in line][-1] == "  job 18 and 1 more failed: reason 9"
    assert "  and 10 more failed" in found


def test_all_folders_are_gone(tmp_path):
    plan = plan_jobs(tmp_path / "sweep", [*NAG, "seed=0,1"])
    found = sweep_summary(plan, cwd=tmp_path).plain.splitlines()
    assert found[0] == "sweep: none of 2 jobs solved; 2 gone"
    assert "  job 0 and 1 more failed: its folder is gone" in found
    assert go_on(found) is None


# ------------------------------------------------------------ the terminal


def test_plain_text_without_a_terminal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = plan_jobs(tmp_path / ("long" * 40), [*NAG, "seed=0,1"])
    expected = lines(tmp_path, lambda config: ended("failed", message="[bold]:smile: x"), plan=plan)
    stream = io.StringIO()
    print_sweep_summary(plan, stream)
    assert stream.getvalue().splitlines() == expected
    assert "  job 0 and 1 more failed: [bold]:smile: x" in expected
    assert f"  report    rnnbench report {'long' * 40}" in expected


def test_paths_are_quoted(tmp_path):
    plan = plan_jobs(tmp_path / "a b", [*NAG, "seed=0,1"])
    (plan.folder / "aggregate").mkdir(parents=True)
    found = lines(tmp_path, lambda config: ended("interrupted"), plan=plan)
    assert found[-4:] == [
        "  report     rnnbench report 'a b'",
        "  all runs   tensorboard --logdir 'a b'",
        "  aggregate  tensorboard --logdir 'a b/aggregate'",
        "  continue   rnnbench resume 'a b'",
    ]
