"""What an aggregate refuses, and what happens where a cell's folder cannot be written."""

import numpy as np
import pytest

from rnnbench.records.aggregate import Aggregate
from rnnbench.records.errors import RecordError
from rnnbench.records.metrics_csv import read_metrics

CELLS = {"lr=0.1": [0, 2, 4], "lr=0.01": [3, 1]}
RUNNING = {"statuses": ["running"] * 5, "solved": [False] * 5}


@pytest.mark.parametrize("cells", [{}, {"a": [0, 1], "b": [1, 2]}, {"a": [0, 2]}, {"a": [0], "b": []}])
def test_each_replica_belongs_to_one_cell(tmp_path, cells):
    with pytest.raises(ValueError, match="exactly one cell"):
        Aggregate(tmp_path, cells, ["x"])


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"shape \(5, 1\), got \(1, 5\)"):
        Aggregate(tmp_path, CELLS, ["x"], last=np.zeros((1, 5)))
    assert not any(tmp_path.iterdir())
    with pytest.raises(ValueError, match="one per folder, got 0 for 2"):
        Aggregate(tmp_path, CELLS, ["x"], lengths=[])
    aggregate = Aggregate(tmp_path, CELLS, ["x"])
    with aggregate.records:
        with pytest.raises(ValueError, match="must be 5, got 4 and 5"):
            aggregate.log(0, {}, [], statuses=["running"] * 4, solved=[False] * 5)
        with pytest.raises(ValueError, match="unknown column 'y'"):
            aggregate.log(0, {"y": [0.0]}, [0], **RUNNING)
    with pytest.raises(RecordError, match="already holds a run"):
        Aggregate(tmp_path, CELLS, ["x"])


def test_no_folder_can_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match=r"cannot create .*not a directory"):
        Aggregate(tmp_path / "file", CELLS, ["x"])


@pytest.mark.parametrize("name", ["metrics.csv", "events.out.tfevents.0000000000.layout"])
def test_a_broken_cell_is_given_up_alone(tmp_path, name):
    kept = []
    aggregate = Aggregate(tmp_path, CELLS, ["x"])
    with aggregate.records:
        aggregate.records.checkpoint(kept.append)
    (tmp_path / "lr=0.1" / name).unlink()
    (tmp_path / "lr=0.1" / name).mkdir()
    aggregate = Aggregate(tmp_path, CELLS, ["x"], lengths=kept[0])
    with aggregate.records:
        (broken,) = aggregate.records.broken().items()
        aggregate.log(0, {"x": np.ones(5)}, range(5), **RUNNING)
    assert broken[0] == 0
    assert name in broken[1]
    assert read_metrics(tmp_path / "lr=0.01")["x"].tolist() == [1.0]


def test_a_layout_that_cannot_be_written_costs_its_cell_alone(tmp_path):
    (tmp_path / "lr=0.1" / "events.out.tfevents.0000000000.layout").mkdir(parents=True)
    aggregate = Aggregate(tmp_path, CELLS, ["x"])
    with aggregate.records:
        aggregate.log(0, {"x": np.ones(5)}, range(5), **RUNNING)
        (broken,) = aggregate.records.broken().items()
    assert broken[0] == 0
    assert "is a directory" in broken[1]
    assert read_metrics(tmp_path / "lr=0.01")["x"].tolist() == [1.0]
