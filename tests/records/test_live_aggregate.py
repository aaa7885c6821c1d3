"""The aggregate of a group while it is trained, in parts and after interruptions; it is a view that may fail."""

import shutil

import numpy as np
import pytest
from run_folders import make_folders, read_scalars

from rnnbench.records.aggregate_board import SHARES
from rnnbench.records.live_aggregate import AggregatePlan, LiveAggregate
from rnnbench.records.metrics_csv import read_metrics
from rnnbench.records.summary import SolvedAt, Summary, write_summary
from rnnbench.records.writer import Records

CELLS = {"lr=0.1": [0, 2], "lr=0.01": [1, 3]}


def jobs_in(root):
    (root / "jobs").mkdir(parents=True)
    return make_folders(root / "jobs", 4)


def plan(root, jobs, **changes):
    values = {"folder": root / "aggregate", "cells": CELLS, "jobs": jobs, "places": [0, 1, 2, 3], **changes}
    return AggregatePlan(**values)  # type: ignore[arg-type]


def step(aggregate, update, numbers, solved=None):
    """A row of every job that is trained now."""
    aggregate.row({"x": np.array(numbers)}, range(len(numbers)))
    flags = [False] * len(numbers) if solved is None else solved
    statuses = ["solved" if flag else "running" for flag in flags]
    aggregate.settle(update, statuses, flags)


def rows(root, cell, column="x"):
    metrics = read_metrics(root / "aggregate" / cell)
    return dict(zip(metrics["update"].astype(int).tolist(), metrics[column].tolist(), strict=True))


def refuse(message):
    raise AssertionError(message)


def test_rows_and_standings(tmp_path):
    with LiveAggregate(plan(tmp_path, jobs_in(tmp_path)), ["x"], refuse) as aggregate:
        step(aggregate, 0, [1.0, 2.0, 3.0, 4.0])
        step(aggregate, 5, [5.0, 6.0, 7.0, 8.0], [True, False, False, False])
        aggregate.settle(9, ["solved", "running", "solved", "running"], [True, False, True, False])  # no row
    assert rows(tmp_path, "lr=0.1") == pytest.approx({0: 1.0, 5: 5.0, 9: np.nan}, nan_ok=True)
    assert rows(tmp_path, "lr=0.01") == {0: 2.0, 5: 6.0}
    assert rows(tmp_path, "lr=0.1", SHARES[0]) == {0: 0.0, 5: 0.5, 9: 1.0}
    assert rows(tmp_path, "lr=0.1", SHARES[1]) == {0: 1.0, 5: 0.5, 9: 0.0}


def test_a_row_is_recorded_once(tmp_path):
    """Also where a settling without a row follows, or the row was of some jobs only."""
    with LiveAggregate(plan(tmp_path, jobs_in(tmp_path)), ["x"], refuse) as aggregate:
        aggregate.row({"x": np.array([4.0])}, [2])
        aggregate.settle(1, ["running"] * 4, [False] * 4)
        aggregate.settle(2, ["running"] * 4, [False] * 4)
    assert rows(tmp_path, "lr=0.1") == {1: 4.0}
    assert list(rows(tmp_path, "lr=0.01")) == [1]  # its shares, told for the first time


def test_jobs_that_are_not_trained_now_count_with_what_they_recorded(tmp_path):
    jobs = jobs_in(tmp_path)
    with Records(jobs[:2], ["x"]) as records:
        records.log(0, {"x": [10.0, 20.0]})
    write_summary(jobs[0], Summary(status="solved", solved=True, solved_at=SolvedAt(0, 1, 1.0)))
    write_summary(jobs[1], Summary(status="diverged"))
    with LiveAggregate(plan(tmp_path, jobs, places=[3, 2]), ["x"], refuse) as aggregate:
        step(aggregate, 7, [40.0, 30.0])
    assert rows(tmp_path, "lr=0.1") == {7: 10.0}
    assert rows(tmp_path, "lr=0.01") == {7: 20.0}
    assert rows(tmp_path, "lr=0.1", SHARES[0]) == {7: 0.5}
    assert rows(tmp_path, "lr=0.01", SHARES[2]) == {7: 0.5}


def test_a_job_whose_folder_is_gone_has_failed(tmp_path):
    jobs = jobs_in(tmp_path)
    shutil.rmtree(jobs[0])
    with LiveAggregate(plan(tmp_path, jobs, places=[1, 2, 3]), ["x"], refuse) as aggregate:
        step(aggregate, 0, [1.0, 2.0, 3.0])
    assert rows(tmp_path, "lr=0.1") == {0: 2.0}
    assert rows(tmp_path, "lr=0.1", SHARES[1]) == {0: 0.5}


def test_going_on_from_a_checkpoint(tmp_path):
    """Rows after it are made anew, those before it stay."""
    jobs = jobs_in(tmp_path)
    with Records(jobs, ["x"]) as records, LiveAggregate(plan(tmp_path, jobs), ["x"], refuse) as aggregate:
        for update in range(4):
            records.log(update, {"x": [float(update)] * 4})
            step(aggregate, update, [float(update)] * 4)
            if update == 1:
                lengths = aggregate.lengths()
    assert lengths is not None
    with LiveAggregate(plan(tmp_path, jobs, lengths=lengths), ["x"], refuse) as aggregate:
        for update in range(2, 5):
            step(aggregate, update, [10.0 * update] * 4)
    for cell in CELLS:
        assert rows(tmp_path, cell) == {0: 0.0, 1: 1.0, 2: 20.0, 3: 30.0, 4: 40.0}
        assert read_scalars(tmp_path / "aggregate" / cell, "x") == list(enumerate([0.0, 1.0, 20.0, 30.0, 40.0]))


@pytest.mark.parametrize("restart", [False, True])
def test_without_a_checkpoint(tmp_path, restart):
    """It goes on from its end, as where a budget has become larger, or begins anew, as its jobs do."""
    jobs = jobs_in(tmp_path)
    for update, again in ((0, False), (1, restart)):
        with LiveAggregate(plan(tmp_path, jobs, restart=again), ["x"], refuse) as aggregate:
            step(aggregate, update, [1.0 + update] * 4)
    expected = {1: 2.0} if restart else {0: 1.0, 1: 2.0}
    assert rows(tmp_path, "lr=0.1") == expected
    assert read_scalars(tmp_path / "aggregate/lr=0.1", "x") == list(expected.items())


def test_a_new_cell_beside_old_ones_begins_anew(tmp_path):
    jobs = jobs_in(tmp_path)
    with LiveAggregate(plan(tmp_path, jobs), ["x"], refuse) as aggregate:
        step(aggregate, 0, [1.0] * 4)
    shutil.rmtree(tmp_path / "aggregate/lr=0.01")
    with LiveAggregate(plan(tmp_path, jobs), ["x"], refuse) as aggregate:
        step(aggregate, 1, [2.0] * 4)
    assert rows(tmp_path, "lr=0.1") == rows(tmp_path, "lr=0.01") == {1: 2.0}


# ------------------------------------------------------------ what goes wrong


def test_an_aggregate_that_cannot_begin_is_left_out(tmp_path):
    (tmp_path / "aggregate").write_text("in the way")
    told = []
    with LiveAggregate(plan(tmp_path, jobs_in(tmp_path)), ["x"], told.append) as aggregate:
        for update in range(3):
            step(aggregate, update, [1.0] * 4)
        assert aggregate.lengths() is None
    (message,) = told
    assert message.startswith("the aggregate is no longer recorded: cannot create")


def test_an_aggregate_that_cannot_go_on_is_left_out(tmp_path):
    """Said once; what it had recorded stays, and the training is not disturbed."""
    told = []
    with LiveAggregate(plan(tmp_path, jobs_in(tmp_path)), ["x"], told.append) as aggregate:
        step(aggregate, 0, [1.0] * 4)
        assert aggregate.lengths() is not None
        shutil.rmtree(tmp_path / "aggregate")
        step(aggregate, 1, [1.0] * 4)
        assert aggregate.lengths() is None
        step(aggregate, 2, [1.0] * 4)
    (message,) = told
    assert "no such file or directory" in message
    assert not (tmp_path / "aggregate").exists()


def test_an_aggregate_that_was_cut_is_left_out(tmp_path):
    jobs = jobs_in(tmp_path)
    with LiveAggregate(plan(tmp_path, jobs), ["x"], refuse) as aggregate:
        step(aggregate, 0, [1.0] * 4)
        lengths = aggregate.lengths()
    for cell in CELLS:
        (tmp_path / "aggregate" / cell / "metrics.csv").write_text("up")
    told = []
    with LiveAggregate(plan(tmp_path, jobs, lengths=lengths), ["x"], told.append) as aggregate:
        step(aggregate, 1, [1.0] * 4)
    assert len(told) == 1


def test_a_job_whose_records_are_damaged_counts_from_now_on(tmp_path):
    jobs = jobs_in(tmp_path)
    (jobs[1] / "metrics.csv").write_text("update,x\n1,2,3\n")
    with LiveAggregate(plan(tmp_path, jobs), ["x"], refuse) as aggregate:
        step(aggregate, 0, [1.0] * 4)
    assert rows(tmp_path, "lr=0.1") == rows(tmp_path, "lr=0.01") == {0: 1.0}
