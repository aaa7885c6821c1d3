"""What Records writes, read back by TensorBoard's own reader and by pandas."""

import gc
import math
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_folders import checkpoint_lengths, make_folders, png, read_events, read_scalars
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.util import tensor_util

from rnnbench.records.errors import RecordError
from rnnbench.records.metrics_csv import read_metrics
from rnnbench.records.writer import Records

COLUMNS = ["loss/train", "error_rate/eval", "time/seconds"]


def test_rows_of_two_replicas(tmp_path):
    folders = make_folders(tmp_path, 2)
    with Records(folders, COLUMNS) as records:
        records.log(0, {"loss/train": [0.5, 0.25], "error_rate/eval": [None, 1.0]})
        records.log(1, {"loss/train": np.array([0.125, math.nan]), "time/seconds": [1.5, 2.5]})
        records.log(2, {"loss/train": [1e-60]}, replicas=[1])
    first, second = (pd.read_csv(folder / "metrics.csv") for folder in folders)
    assert first.columns.tolist() == ["update", *COLUMNS]
    assert (folders[0] / "metrics.csv").read_text().splitlines()[1:] == ["0,0.5,,", "1,0.125,,1.5"]
    assert first["update"].tolist() == [0, 1]
    assert second["update"].tolist() == [0, 1, 2]
    assert second["loss/train"].tolist()[::2] == [0.25, 1e-60]
    assert read_scalars(folders[0], "loss/train") == [(0, 0.5), (1, 0.125)]
    assert read_scalars(folders[1], "error_rate/eval") == [(0, 1.0)]
    assert read_scalars(folders[1], "time/seconds") == [(1, 2.5)]
    steps, values = zip(*read_scalars(folders[1], "loss/train"), strict=True)
    assert steps == (0, 1, 2)
    np.testing.assert_array_equal(values, [0.25, math.nan, 0.0])
    assert read_events(folders[0]).file_version == 2.0


def test_numbers_beyond_float32_do_not_stop_the_writer(tmp_path):
    with Records([tmp_path], ["x"]) as records:
        for update, value in enumerate([1e300, -math.inf, 5e-324]):
            records.log(update, {"x": [value]})
    assert read_scalars(tmp_path, "x") == [(0, math.inf), (1, -math.inf), (2, 0.0)]
    assert read_metrics(tmp_path)["x"].tolist() == [1e300, -math.inf, 5e-324]


def test_values_are_those_of_the_call(tmp_path):
    """The caller may reuse its arrays as soon as the call has returned."""
    values = np.zeros(1)
    with Records([tmp_path], ["x"]) as records:
        for update in range(50):
            values[0] = update
            records.log(update, {"x": values})
            records.histogram(0, "h", update, values)
        values[0] = -1.0
    assert read_metrics(tmp_path)["x"].tolist() == list(range(50))
    centres = [tensor_util.make_ndarray(event.tensor_proto)[0, 0] for event in read_events(tmp_path).Tensors("h")]
    assert centres == list(range(50))


def test_pictures_histograms_and_text(tmp_path):
    folders = make_folders(tmp_path, 2)
    finite = np.random.default_rng(0).standard_normal(1000)
    numbers = np.concatenate([finite, [math.nan, math.inf]]).reshape(2, -1)
    with Records(folders, COLUMNS) as records:
        records.picture(1, "jacobian/eigenvalues", 10, png(30, 20))
        records.histogram(1, "jacobian/moduli", 10, numbers)
        records.histogram(1, "jacobian/moduli", 20, [math.nan])
        records.text(1, "command", "rnnbench train\n\n`task=adding`")
        with pytest.raises(ValueError, match="PNG"):
            records.picture(0, "x", 0, b"GIF89a" + bytes(30))
    assert not any(read_events(folders[0]).Tags()[kind] for kind in ("images", "tensors"))
    events = read_events(folders[1])
    (image,) = events.Images("jacobian/eigenvalues")
    assert (image.step, image.width, image.height) == (10, 30, 20)
    assert image.encoded_image_string == png(30, 20)
    histogram, empty = (tensor_util.make_ndarray(event.tensor_proto) for event in events.Tensors("jacobian/moduli"))
    counts, edges = np.histogram(finite, bins=30)
    np.testing.assert_allclose(histogram[:, 0], edges[:-1], atol=1e-12)
    np.testing.assert_array_equal(histogram[:, 2], counts)
    assert empty[:, 2].sum() == 0
    (text,) = events.Tensors("command")
    assert tensor_util.make_ndarray(text.tensor_proto).item() == b"rnnbench train\n\n`task=adding`"


def test_hyperparameters(tmp_path):
    config = {"optim.lr": 0.5, "optim": "sgd", "optim.clip_norm": None, "stop": True, "limit": math.inf}
    with Records([tmp_path], COLUMNS) as records:
        records.hyperparameters(0, "a trial", config)
    content = read_events(tmp_path).SummaryMetadata(hparams_metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = hparams_metadata.parse_session_start_info_plugin_data(content)
    assert start.group_name == "a trial"
    assert start.hparams["optim.lr"].number_value == 0.5
    assert start.hparams["stop"].bool_value is True
    values = [start.hparams[key].string_value for key in ("optim", "optim.clip_norm", "limit")]
    assert values == ["sgd", "null", "inf"]


def test_bytes_reach_the_disk_without_a_sync(tmp_path):
    with Records([tmp_path], ["x"], flush_seconds=0.05) as records:
        records.log(0, {"x": [1.0]})
        for _ in range(6000):
            if len(read_metrics(tmp_path)["x"]) and "x" in read_events(tmp_path).scalars.Keys():
                break
            time.sleep(0.01)
        assert read_metrics(tmp_path)["x"].tolist() == [1.0]
        assert read_scalars(tmp_path, "x") == [(0, 1.0)]


def test_sync_is_exact(tmp_path):
    with Records([tmp_path], ["x"], flush_seconds=1000) as records:
        for update in range(10):
            records.log(update, {"x": [update]})
            records.sync()
            assert len(read_metrics(tmp_path)["x"]) == update + 1
            (lengths,) = checkpoint_lengths(records)
            assert lengths == {path.name: path.stat().st_size for path in tmp_path.iterdir()}


def test_memory_does_not_grow_with_rows(tmp_path):
    folders = make_folders(tmp_path, 4)
    columns = [f"metric/{number}" for number in range(10)]

    def log(updates):
        for update in updates:
            records.log(update, dict.fromkeys(columns, np.full(4, 1 / 3)))
        records.sync()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        with Records(folders, columns) as records:
            log(range(100))
            after_200 = log(range(100, 200))
            after_1200 = log(range(200, 1200))
    finally:
        tracemalloc.stop()
    assert after_1200 - after_200 < 200_000  # the files grow by 1.6 MB


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to count open files")
def test_open_files_do_not_grow_with_replicas(tmp_path, monkeypatch):
    folders = make_folders(tmp_path, 256)
    before = len(os.listdir("/proc/self/fd"))
    counts = [before]
    fsync = os.fsync

    def count(descriptor):
        counts.append(len(os.listdir("/proc/self/fd")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", count)
    with Records(folders, ["x"], flush_seconds=0) as records:
        for update in range(3):
            records.log(update, {"x": np.arange(256.0)})
            counts.append(len(os.listdir("/proc/self/fd")))
            records.sync()
    assert len(counts) > 3 * 512
    assert max(counts) - before < 40
    assert [read_metrics(folder)["x"].tolist() for folder in folders[::50]] == [
        [float(r)] * 3 for r in range(0, 256, 50)
    ]


def test_continue_from_a_checkpoint(tmp_path):
    folders = make_folders(tmp_path, 2)
    with Records(folders, ["x"]) as records:
        records.log(0, {"x": [0.0, 10.0]})
        lengths = checkpoint_lengths(records)
        records.log(1, {"x": [-1.0, -1.0]})
    with Records(folders, ["x"], lengths=lengths) as records:
        records.log(1, {"x": [1.0, 11.0]})
        later = checkpoint_lengths(records)
        records.log(2, {"x": [-2.0, -2.0]})
    # Killed and continued once more: events that are newer than the checkpoint must not stay.
    with Records(folders, ["x"], lengths=later) as records:
        records.log(2, {"x": [2.0, 12.0]})
    for replica, folder in enumerate(folders):
        expected = [0.0 + 10 * replica, 1.0 + 10 * replica, 2.0 + 10 * replica]
        assert read_metrics(folder)["x"].tolist() == expected
        assert read_scalars(folder, "x") == list(enumerate(expected))
        assert len(list(folder.glob("events.out.tfevents.*"))) == 3
    with Records(folders, ["x"], lengths=lengths):
        pass
    assert read_scalars(folders[1], "x") == [(0, 10.0)]


def test_continued_records_keep_the_columns_that_they_began_with(tmp_path):
    """A later program may have other metrics: lags that a longer sequence has, for example."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    with Records(folders, ["x", "gone"]) as records:
        records.log(0, {"x": [0.0, 1.0], "gone": [2.0, 3.0]})
        lengths = checkpoint_lengths(records)
    with Records(folders, ["new", "x"], lengths=lengths) as records:
        records.log(1, {"new": [4.0, 5.0], "x": [6.0, 7.0]})
        with pytest.raises(ValueError, match="unknown column 'other'"):
            records.log(2, {"other": [0.0, 0.0]})
    assert (folders[1] / "metrics.csv").read_text() == "update,x,gone\n0,1.0,3.0\n1,7.0,\n"
    assert read_scalars(folders[1], "x") == [(0, 1.0), (1, 7.0)]


def test_continue_refuses_what_does_not_fit(tmp_path):
    with Records([tmp_path], ["x"]) as records:
        records.log(0, {"x": [0.0]})
        lengths = checkpoint_lengths(records)
    with pytest.raises(ValueError, match="one per folder"):
        Records([tmp_path], ["x"], lengths=[])
    (tmp_path / "metrics.csv").write_text("update,x\n")
    with pytest.raises(RecordError, match=r"metrics\.csv: it has 9 bytes"):
        Records([tmp_path], ["x"], lengths=lengths)


def test_new_records_refuse_a_folder_that_holds_a_run(tmp_path):
    Records([tmp_path], ["x"]).close()
    with pytest.raises(RecordError, match="already holds a run"):
        Records([tmp_path], ["x"])
    with pytest.raises(RecordError, match="no such file"):
        Records([tmp_path / "missing"], ["x"])


def test_restart_removes_what_was_there(tmp_path):
    folders = make_folders(tmp_path, 2)
    (tmp_path / "0" / "notes.txt").write_text("mine")
    with Records(folders, ["y", "z"]) as records:
        records.log(7, {"y": [7.0, 7.0]})
    (folders[1] / "metrics.csv").unlink()  # killed before it was made
    with Records(folders, ["x"], restart=True) as records:
        records.log(0, {"x": [0.0, 1.0]})
    for replica, folder in enumerate(folders):
        assert read_metrics(folder)["x"].tolist() == [replica]
        assert read_scalars(folder, "x") == [(0, replica)]
        assert read_events(folder).Tags()["scalars"] == ["x"]
    assert (tmp_path / "0" / "notes.txt").read_text() == "mine"
    with pytest.raises(ValueError, match="either restarted or continued"):
        Records(folders, ["x"], restart=True, lengths=[{}, {}])


def test_closed(tmp_path):
    records = Records([tmp_path], ["x"])
    records.close()
    records.close()
    with pytest.raises(RecordError, match="closed"):
        records.log(0, {})


KILLED = """
import sys, time
from pathlib import Path
from rnnbench.records.writer import Records
records = Records([Path(folder) for folder in sys.argv[1:]], ["x", "y"], flush_seconds=0.02)
records.log(0, {"x": [0.5, 0.5], "y": [0.25, 0.25]})
records.sync()
print("synced", flush=True)
update = 0
while True:
    update += 1
    records.log(update, {"x": [update + 0.123456789] * 2, "y": [update / 3] * 2})
"""


def test_killed_process_leaves_readable_files(tmp_path):
    folders = make_folders(tmp_path, 2)
    command = [sys.executable, "-c", KILLED, *map(str, folders)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "synced\n"
        files = [file for folder in folders for file in folder.iterdir()]
        synced = [file.stat().st_size for file in files]
        for _ in range(6000):
            assert child.poll() is None
            if all(file.stat().st_size > size for file, size in zip(files, synced, strict=True)):
                break
            time.sleep(0.01)
        child.kill()
    for folder in folders:
        metrics = read_metrics(folder)
        updates = metrics["update"]
        assert len(updates) > 1
        np.testing.assert_array_equal(updates, np.arange(len(updates)))
        np.testing.assert_array_equal(metrics["y"][1:], updates[1:] / 3)
        steps = [step for step, _ in read_scalars(folder, "y")]
        assert len(steps) > 1
        assert steps == list(range(len(steps)))


def test_importing_the_package_needs_no_tensorboard():
    code = (
        "import sys, rnnbench.records as r; assert not {'torch', 'tensorboard', 'rich'} & set(sys.modules); "
        "import rnnbench.records.writer, rnnbench.records.terminal, rnnbench.records.closing; "
        "assert not {'torch', 'tensorflow', 'hydra', 'omegaconf'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
