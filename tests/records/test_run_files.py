"""Records that go on from where the files end."""

import pytest
from run_folders import read_scalars

from rnnbench.records.errors import RecordError
from rnnbench.records.metrics_csv import read_metrics
from rnnbench.records.run_files import present_lengths
from rnnbench.records.writer import Records


def test_present_lengths_of_whole_files(tmp_path):
    for update in range(2):
        lengths = [present_lengths(tmp_path)] if update else None
        with Records([tmp_path], ["x"], lengths=lengths) as records:
            records.log(update, {"x": [float(update)]})
    (tmp_path / "summary.json").write_text("{}")
    records_only = {path.name: path.stat().st_size for path in tmp_path.iterdir() if path.suffix != ".json"}
    assert len(records_only) == 3
    assert present_lengths(tmp_path) == records_only
    assert read_metrics(tmp_path)["x"].tolist() == [0.0, 1.0]
    assert read_scalars(tmp_path, "x") == [(0, 0.0), (1, 1.0)]


def test_half_a_row_and_half_an_event_are_dropped(tmp_path):
    with Records([tmp_path], ["x"]) as records:
        records.log(0, {"x": [0.0]})
    lengths = present_lengths(tmp_path)
    (events,) = tmp_path.glob("events*")
    metrics = tmp_path / "metrics.csv"
    metrics.write_bytes(metrics.read_bytes() + b"1,0.12")
    events.write_bytes(events.read_bytes() + events.read_bytes()[:30])
    assert present_lengths(tmp_path) == lengths
    with Records([tmp_path], ["x"], lengths=[lengths]) as records:
        records.log(1, {"x": [1.0]})
    assert read_metrics(tmp_path)["x"].tolist() == [0.0, 1.0]
    assert read_scalars(tmp_path, "x") == [(0, 0.0), (1, 1.0)]


def test_present_lengths_without_metrics(tmp_path):
    with pytest.raises(RecordError, match=r"cannot continue .*metrics\.csv: no such file"):
        present_lengths(tmp_path)
