"""Medians, percentiles and shares over the replicas of each cell."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from run_folders import make_folders, read_events, read_scalars
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.util import tensor_util

from rnnbench.records.aggregate import Aggregate, folder_name, last_values
from rnnbench.records.aggregate_board import aggregate_columns
from rnnbench.records.board import board_of
from rnnbench.records.errors import RecordError
from rnnbench.records.metrics_csv import read_metrics
from rnnbench.records.run_files import present_lengths
from rnnbench.records.writer import Records
from rnnbench.training.observation import LOOP_METRICS

COLUMNS = ["loss/train", "error_rate/eval", "time/seconds"]
LEVELS = [0.5, 0.1, 0.9]
CELLS = {"lr=0.1": [0, 2, 4], "lr=0.01": [3, 1]}
RUNNING = {"statuses": ["running"] * 5, "solved": [False] * 5}

inf, nan = math.inf, math.nan


# ------------------------------------------------------------ rows


def expected_row(last, cell):
    present = [value for value in last[cell] if not math.isnan(value)]
    return [float(np.quantile(present, level, method="inverted_cdf")) for level in LEVELS]


def test_rows_against_a_plain_loop(tmp_path):
    """Replicas end one after another, values are missing here and there, and the last ones stay."""
    generator = np.random.default_rng(0)
    last = np.full((5, 2), nan)
    expected = {name: [] for name in CELLS}
    aggregate = Aggregate(tmp_path, CELLS, COLUMNS)
    with aggregate.records:
        for update, active in enumerate([[0, 1, 2, 3, 4], [0, 1, 2, 4], [0, 1, 2], [2, 1], [2]]):
            values = generator.standard_normal((2, len(active)))
            values[0, generator.random(len(active)) < 0.2] = nan
            aggregate.log(update, {"loss/train": values[0], "time/seconds": values[1]}, active, **RUNNING)
            for replica, row in zip(active, values.T, strict=True):
                last[replica] = np.where(np.isnan(row), last[replica], row)
            for name, cell in CELLS.items():
                if set(cell) & set(active):
                    given = {replica: row for replica, row in zip(active, values.T, strict=True) if replica in cell}
                    is_given = ~np.isnan(list(given.values())).all(axis=0)
                    cells = [expected_row(last[:, c], cell) if is_given[c] else [nan] * 3 for c in range(2)]
                    expected[name].append([update, *cells[0], *cells[1]])
    assert [len(rows) for rows in expected.values()] == [5, 4]
    for name, rows in expected.items():
        metrics = read_metrics(tmp_path / name)
        columns = ["update", *aggregate_columns(["loss/train", "time/seconds"])[3:]]
        np.testing.assert_allclose(np.stack([metrics[column] for column in columns], axis=1), rows, rtol=1e-12)


def test_columns_and_events(tmp_path):
    aggregate = Aggregate(tmp_path, CELLS, COLUMNS)
    with aggregate.records:
        aggregate.log(0, {"loss/train": [0.0, 1.0, 2.0, 3.0, 4.0], "error_rate/eval": [None] * 5}, range(5), **RUNNING)
        aggregate.log(7, {"error_rate/eval": [0.5, 0.25]}, [0, 4], **RUNNING)
    first, second = (tmp_path / name for name in CELLS)
    header, *rows = (first / "metrics.csv").read_text().splitlines()
    assert header == (
        "update,replicas/solved_share,replicas/active_share,replicas/diverged_share,"
        "loss/train,loss/train_q10,loss/train_q90,error_rate/eval,error_rate/eval_q10,error_rate/eval_q90,"
        "time/seconds,time/seconds_q10,time/seconds_q90"
    )
    assert rows == ["0,0.0,1.0,0.0,2.0,0.0,4.0,,,,,,", "7,0.0,1.0,0.0,,,,0.25,0.25,0.5,,,"]
    assert read_metrics(second)["update"].tolist() == [0]
    assert read_scalars(first, "loss/train") == [(0, 2.0)]
    assert read_scalars(first, "error_rate/eval") == [(7, 0.25)]
    assert read_scalars(second, "loss/train") == [(0, 1.0)]


def test_shares(tmp_path):
    """A cell whose last replica has ended gets one more row, and no cell waits for another."""
    aggregate = Aggregate(tmp_path, CELLS, ["x"])
    steps = [
        (["running"] * 5, [0] * 5, [0, 1, 2, 3, 4]),
        (["running"] * 3 + ["diverged", "running"], [1, 0, 0, 0, 0], [0, 1, 2, 3, 4]),  # 0 is solved, and goes on
        (["solved", "running", "budget", "diverged", "failed"], [1, 0, 0, 0, 0], [1]),
        (["solved", "solved", "budget", "diverged", "failed"], [1, 1, 0, 0, 0], []),
        (["solved", "solved", "budget", "diverged", "failed"], [1, 1, 0, 0, 0], []),
    ]
    with aggregate.records:
        for update, (statuses, solved, rows) in enumerate(steps):
            aggregate.log(update, {"x": np.ones(len(rows))}, rows, statuses=statuses, solved=list(map(bool, solved)))
    shares = {name: np.stack(list(read_metrics(tmp_path / name).values()), axis=1)[:, :4].tolist() for name in CELLS}
    third = 1 / 3
    assert shares["lr=0.1"] == [[0, 0, 1, 0], [1, third, 1, 0], [2, third, 0, 0]]
    assert shares["lr=0.01"] == [[0, 0, 1, 0], [1, 0, 0.5, 0.5], [2, 0, 0.5, 0.5], [3, 0.5, 0, 0.5]]


@settings(max_examples=30)
@given(
    values=arrays(np.float64, (4, 5), elements=st.floats(-1e6, 1e6) | st.just(nan) | st.just(inf)),
    has_row=arrays(np.bool_, (4, 5)),
)
def test_a_cell_does_not_depend_on_the_others(tmp_path_factory, values, has_row):
    folder = tmp_path_factory.mktemp("cells")
    together = Aggregate(folder / "together", CELLS, ["x"])
    alone = Aggregate(folder / "alone", {"lr=0.01": [0, 1]}, ["x"])
    with together.records, alone.records:
        for update in range(4):
            replicas = np.flatnonzero(has_row[update])
            together.log(update, {"x": values[update, replicas]}, replicas.tolist(), **RUNNING)
            own = [replica for replica in CELLS["lr=0.01"] if has_row[update, replica]]
            indices = [CELLS["lr=0.01"].index(replica) for replica in own]
            alone.log(update, {"x": values[update, own]}, indices, statuses=["running"] * 2, solved=[False] * 2)
    texts = [(folder / part / "lr=0.01" / "metrics.csv").read_text() for part in ("together", "alone")]
    assert texts[0] == texts[1]


# ------------------------------------------------------------ going on


def test_going_on_gives_the_rows_of_an_uninterrupted_run(tmp_path):
    """Killed and continued twice; one cell has ended before the first checkpoint."""
    generator = np.random.default_rng(1)
    values = generator.standard_normal((9, 5))
    values[generator.random(values.shape) < 0.3] = nan
    ended = {"statuses": ["running", "solved", "running", "diverged", "running"], "solved": [0, 1, 0, 0, 0]}
    (tmp_path / "runs").mkdir()
    runs = make_folders(tmp_path / "runs", 5)

    def log(aggregate, records, update):
        replicas = [0, 1, 2, 3, 4] if update < 2 else [0, 2] if update < 5 else [4]
        row = {"x": values[update, replicas], "y": 2 * values[update, replicas]}
        aggregate.log(update, row, replicas, **(RUNNING if update < 2 else ended))
        records.log(update, row, replicas)

    whole = Aggregate(tmp_path / "whole", CELLS, ["x", "y"])
    parts, last, lengths, run_lengths = tmp_path / "parts", None, None, None
    with whole.records, Records(make_folders(tmp_path, 5), ["x", "y"]) as records:
        for update in range(9):
            log(whole, records, update)
    for start, checkpoint, killed in [(0, 3, 5), (3, 6, 8), (6, 9, 9)]:
        with Records(runs, ["x", "y"], lengths=run_lengths) as records:
            last = None if run_lengths is None else last_values(runs, ["x", "y"])
            aggregate = Aggregate(parts, CELLS, ["x", "y"], last=last, lengths=lengths)
            with aggregate.records:
                for update in range(start, killed):
                    log(aggregate, records, update)
                    if update + 1 == checkpoint:
                        kept = []
                        records.checkpoint(kept.append)
                        records.sync()
                        aggregate.records.checkpoint(kept.append)
                        aggregate.records.sync()
                run_lengths, lengths = kept
    for name, count in {"lr=0.1": 9, "lr=0.01": 3}.items():
        expected = (tmp_path / "whole" / name / "metrics.csv").read_text()
        assert (parts / name / "metrics.csv").read_text() == expected
        assert len(expected.splitlines()) == 1 + count
        assert read_scalars(parts / name, "x") == read_scalars(tmp_path / "whole" / name, "x")
    assert chart_titles(parts / "lr=0.1") == chart_titles(tmp_path / "whole" / "lr=0.1") != []


def test_going_on_from_the_end(tmp_path):
    """Also where an older layout was longer."""
    with Aggregate(tmp_path, CELLS, ["x"]).records:
        pass
    (layout,) = (tmp_path / "lr=0.1").glob("*.layout")
    lengths = [present_lengths(tmp_path / name) for name in CELLS]
    lengths[0][layout.name] = 20_000
    aggregate = Aggregate(tmp_path, CELLS, ["x"], last=np.full((5, 1), 3.0), lengths=lengths)
    with aggregate.records:
        aggregate.log(1, {"x": [1.0]}, [0], **RUNNING)
        assert aggregate.records.broken() == {}
    assert read_metrics(tmp_path / "lr=0.1")["x"].tolist() == [3.0]
    assert chart_titles(tmp_path / "lr=0.1") == ["share of the seeds solved"]


def test_last_values(tmp_path):
    folders = make_folders(tmp_path, 3)
    with Records(folders, ["x", "y"]) as records:
        records.log(0, {"x": [1.0, 2.0, nan], "y": [1 / 3, -inf, 5.0]})
        records.log(1, {"x": [nan, 4.0, nan]})
        records.log(2, {"y": [None, inf, 7.0]})
    found = last_values([folders[2], None, *folders[:2]], ["y", "x", "z"])
    np.testing.assert_array_equal(found, [[7.0, nan, nan], [nan] * 3, [1 / 3, 1.0, nan], [inf, 4.0, nan]])
    with pytest.raises(RecordError, match="no such file"):
        last_values([tmp_path / "missing"], ["x"])


# ------------------------------------------------------------ names and charts


@pytest.mark.parametrize("name", ["optim.lr=0.001,optim.momentum=0.9", "a", "x" * 200, "1e+05_-"])
def test_safe_names_stay(name):
    assert folder_name(name) == name


@given(st.lists(st.text() | st.sampled_from(["", ".", "..", "a/b", "a b", "a_b", ".a", "ä", "x" * 999]), unique=True))
def test_folder_names_are_safe_and_differ(names):
    folders = [folder_name(name) for name in names]
    assert len(set(folders)) == len(names)
    for folder in folders:
        assert 0 < len(folder.encode()) <= 200
        assert not folder.startswith(".")
        assert not set(folder) & set("/\\ \0'\"$*?\n")


def chart_titles(folder):
    (event,) = read_events(folder).Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(tensor_util.make_ndarray(event.tensor_proto).item())
    (category,) = layout.category
    return [chart.title for chart in category.chart]


def test_charts_are_those_of_the_columns_that_are_there(tmp_path):
    solved = "share of the seeds solved"
    for name, columns in {"all": COLUMNS, "few": ["time/seconds"]}.items():
        board = board_of(columns, LOOP_METRICS, {})
        Aggregate(tmp_path / name, CELLS, columns, board=board).records.close()
    assert chart_titles(tmp_path / "all" / "lr=0.1") == ["loss/train", "error_rate/eval", solved]
    assert chart_titles(tmp_path / "few" / "lr=0.1") == [solved]
    assert "custom_scalars__config__" not in read_events(tmp_path / "all" / "lr=0.01").Tags()["tensors"]


def test_the_layout_comes_before_the_other_events(tmp_path):
    """TensorBoard reads the files of a folder in the order of their names, and none twice."""
    Aggregate(tmp_path, CELLS, ["x"]).records.close()
    layout, scalars = sorted((tmp_path / "lr=0.1").glob("events.out.tfevents.*"))
    assert layout.name.endswith(".layout")
    assert not scalars.name.endswith(".layout")


def test_restart(tmp_path):
    for value in range(2):
        aggregate = Aggregate(tmp_path, CELLS, ["x"], restart=value > 0)
        with aggregate.records:
            aggregate.log(0, {"x": np.full(5, value)}, range(5), **RUNNING)
    assert read_metrics(tmp_path / "lr=0.01")["x"].tolist() == [1.0]
    assert chart_titles(tmp_path / "lr=0.1") == ["share of the seeds solved"]
