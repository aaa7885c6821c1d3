"""metrics.csv as pandas and our own reader see it."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.records.errors import RecordError
from rnnbench.records.metrics_csv import FILE_NAME, header, read_metrics, rows, tabulate


def write(folder, *lines):
    path = folder / FILE_NAME
    path.write_bytes(b"".join(lines))
    return path


def row(update, values, present):
    (line,) = rows(update, np.array([values]).T, np.array([present]).T)
    return line


@settings(max_examples=100)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=64), min_size=1, max_size=20))
def test_floats_return_bit_for_bit(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("run")
    path = write(folder, header(["x"]), *(row(k, [value], [True]) for k, value in enumerate(values)))
    np.testing.assert_array_equal(read_metrics(folder)["x"], values)
    # Its own reader may be one unit off in the last place.
    np.testing.assert_allclose(pd.read_csv(path)["x"].astype(float), values, rtol=4e-16, atol=1e-320)


def test_pandas_needs_no_options(tmp_path):
    lines = [row(3, [0.1, math.nan], [True, False]), row(4, [math.inf, math.nan], [True, True])]
    path = write(tmp_path, header(["loss/train", "time/seconds"]), *lines)
    frame = pd.read_csv(path)
    assert list(frame.columns) == ["update", "loss/train", "time/seconds"]
    assert frame["update"].tolist() == [3, 4]
    assert frame["loss/train"].tolist() == [0.1, math.inf]
    assert frame["time/seconds"].isna().all()


def test_no_value_and_not_a_number_differ_in_the_file():
    assert row(7, [math.nan, math.nan, 2.0], [False, True, True]) == b"7,,nan,2.0\n"


def test_rows_of_several_runs():
    table, present = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([[1, 1, 0], [1, 0, 1]], dtype=bool)
    assert rows(5, table, present) == [b"5,1.0,4.0\n", b"5,2.0,\n", b"5,,6.0\n"]


@pytest.mark.parametrize(
    ("columns", "word"), [(["a", "a"], "twice"), (["update"], "twice"), (["a,b"], "commas"), ([""], "empty")]
)
def test_bad_columns(columns, word):
    with pytest.raises(ValueError, match=word):
        header(columns)


def test_reader_leaves_out_half_a_row(tmp_path):
    write(tmp_path, header(["a", "b"]), b"0,1.5,2.5\n", b"1,1.5,2.")
    metrics = read_metrics(tmp_path)
    assert metrics["update"].tolist() == [0.0]
    assert metrics["b"].tolist() == [2.5]


def test_reader_without_rows(tmp_path):
    write(tmp_path, header(["a"]))
    assert {name: column.shape for name, column in read_metrics(tmp_path).items()} == {"update": (0,), "a": (0,)}


@pytest.mark.parametrize(
    ("contents", "word"),
    [
        (b"", "no header"),
        (b"update,a\n0,1,2\n", "line 2 has 3 cells, expected 2"),
        (b"update,a\n0,1\n1,x\n", "line 3: could not convert"),
        (b"update,\xff\n", "not text"),
    ],
)
def test_reader_names_the_damage(tmp_path, contents, word):
    write(tmp_path, contents)
    with pytest.raises(RecordError, match=word):
        read_metrics(tmp_path)


def test_reader_without_file(tmp_path):
    with pytest.raises(RecordError, match="no such file"):
        read_metrics(tmp_path)


def test_tabulate():
    values = {
        "list": [1, None, math.nan],
        "array": np.array([1, 2, 3], dtype=np.float32),
        "masked": np.ma.masked_array([4.0, 5.0, 6.0], mask=[True, False, False]),
    }
    table, present = tabulate(["array", "absent", "masked", "list"], values, 3)
    expected = [[1, 2, 3], [np.nan] * 3, [np.nan, 5, 6], [1, np.nan, np.nan]]
    np.testing.assert_array_equal(table, expected)
    np.testing.assert_array_equal(present, [[1, 1, 1], [0, 0, 0], [0, 1, 1], [1, 0, 1]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": [1.0, 2.0, 3.0]}, r"column 'a': expected shape \(2,\), got \(3,\)"),
        ({"a": 1.0}, r"column 'a': expected shape \(2,\), got \(\)"),
        ({"a": ["x", "y"]}, "column 'a': could not convert"),
        ({"b": [1.0, 2.0]}, "unknown column 'b'; the columns are a"),
    ],
)
def test_tabulate_refuses(values, message):
    with pytest.raises(ValueError, match=message):
        tabulate(["a"], values, 2)
