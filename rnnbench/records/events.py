"""TensorBoard events as bytes: each function returns framed records, ready to be appended to an events file.

Importing this module imports TensorBoard (not TensorFlow); import it only when a run starts.
"""

# TensorBoard ships no types.
# mypy: disable-error-code="import-untyped"

import itertools
import math
import os
import socket
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as custom_scalars_metadata
from tensorboard.plugins.histogram import summary_v2 as histogram_summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams import summary_v2 as hparams_summary
from tensorboard.plugins.text import summary_v2 as text_summary

from rnnbench.records import framing

FILE_PREFIX = "events.out.tfevents."

Scalar = bool | int | float | str | None

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Two numbers of which no byte is the same.
_DIFFERENT_BYTES = struct.unpack("<ff", b"\x01\x01\x01\x01\x02\x02\x02\x02")
_file_counter = itertools.count()
_DIGITS = 10


def new_file_name(older: Iterable[Path] = ()) -> str:
    """Name of a new events file, which sorts after the older ones of the same folder.

    TensorBoard reads a folder's files in the order of their names, that is of their first number, a time in seconds.
    """
    seconds = int(time.time())
    for path in older:
        number = path.name.removeprefix(FILE_PREFIX).split(".")[0]
        if number.isdecimal() and len(number) <= _DIGITS:  # else the file is another program's, and sorts as it may
            seconds = max(seconds, int(number) + 1)
    return f"{FILE_PREFIX}{seconds:0{_DIGITS}d}.{socket.gethostname()}.{os.getpid()}.{next(_file_counter)}"


def file_version() -> bytes:
    """The event that every file begins with."""
    return _framed(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))


def scalars(
    tags: Sequence[str], update: int, wall_time: float, table: NDArray[np.float64], present: NDArray[np.bool_]
) -> list[bytes]:
    """One event for each of several runs, which holds its present scalars in float32: TensorBoard keeps no more.

    A run without any gets no bytes.

    Args:
        tags: C names.
        update: Index of the update.
        wall_time: Now, in seconds since the epoch.
        table: Numbers, shape (C, n) for n runs.
        present: Which of them are there, shape (C, n).
    """
    with np.errstate(over="ignore"):  # beyond float32 is infinity
        numbers = table.T.astype("<f4", order="C").view(np.uint8).reshape(table.shape[1], len(tags), 4)
    records = [b""] * len(numbers)
    alike: dict[bytes, list[int]] = {}
    for run, there in enumerate(present.T):
        if there.any():
            alike.setdefault(there.tobytes(), []).append(run)
    for runs in alike.values():
        pattern = present[:, runs[0]]
        # Events with the same scalars differ in the bytes of their numbers alone, which are where those of two differ.
        names = [tag for tag, is_there in zip(tags, pattern, strict=True) if is_there]
        event, other = (_scalars_event(names, update, wall_time, number) for number in _DIFFERENT_BYTES)
        events = np.tile(event, (len(runs), 1))
        events[:, event != other] = numbers[runs][:, pattern].reshape(len(runs), -1)
        for run, row in zip(runs, events, strict=True):
            records[run] = framing.frame(row.tobytes())
    return records


def _scalars_event(tags: Sequence[str], update: int, wall_time: float, number: float) -> NDArray[np.uint8]:
    """The bytes of an event that holds one number under all tags."""
    event = event_pb2.Event(wall_time=wall_time, step=update)
    for tag in tags:
        event.summary.value.add(tag=tag, simple_value=number)
    return np.frombuffer(event.SerializeToString(), np.uint8)


def picture(tag: str, update: int, wall_time: float, png: bytes) -> bytes:
    """One picture.

    Raises:
        ValueError: It is no PNG file.
    """
    width, height = png_size(png)
    image = summary_pb2.Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
    return _summary_event(summary_pb2.Summary(value=[{"tag": tag, "image": image}]), update, wall_time)


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the first block of a PNG file.

    Raises:
        ValueError: It is no PNG file.
    """
    if png[:8] != _PNG_SIGNATURE or len(png) < 24:
        raise ValueError("a picture must be a PNG file, as bytes")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def histogram(tag: str, update: int, wall_time: float, values: NDArray[np.floating]) -> bytes:
    """Counts of the finite values in 30 bins of equal width between the smallest and the largest."""
    finite = values[np.isfinite(values)]
    return _summary_event(histogram_summary.histogram_pb(tag, finite), update, wall_time)


def text(tag: str, wall_time: float, markdown: str) -> bytes:
    """One text, in Markdown."""
    return _summary_event(text_summary.text_pb(tag, markdown), 0, wall_time)


def hyperparameters(run: str, wall_time: float, config: Mapping[str, Scalar], metrics: Sequence[str]) -> bytes:
    """What the HPARAMS page reads: the columns of its table, and this run's values.

    Args:
        run: Identifies the run; runs of the same name would become one row of the table.
        wall_time: When the run started, in seconds since the epoch.
        config: Hyperparameters. The same keys in every run: the table takes its columns from one of them.
        metrics: Tags of scalars; the table shows the last value of each.
    """
    values = {name: _table_value(value) for name, value in config.items()}
    infos = [api_pb2.HParamInfo(name=name, type=_data_type(value)) for name, value in values.items()]
    columns = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag), display_name=tag) for tag in metrics]
    experiment = api_pb2.Experiment(hparam_infos=infos, metric_infos=columns, time_created_secs=wall_time)
    summary = summary_pb2.Summary()
    summary.value.add(
        tag=metadata.EXPERIMENT_TAG,
        metadata=metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(experiment=experiment)),
        tensor=metadata.NULL_TENSOR,
    )
    summary.MergeFrom(hparams_summary.hparams_pb(values, trial_id=run, start_time_secs=wall_time))
    return _summary_event(summary, 0, wall_time)


def bands_page(title: str, wall_time: float, charts: Mapping[str, tuple[str, str, str]]) -> bytes:
    """The layout of the CUSTOM SCALARS page; TensorBoard joins those of all runs and leaves out what is there twice.

    Args:
        title: Heading above the charts.
        wall_time: Now, in seconds since the epoch.
        charts: Title of a chart -> tags of three scalars: a line, and the lower and upper edge of a band around it.
    """
    category = layout_pb2.Category(title=title)
    # TensorBoard 2.21 shows them from the last to the first.
    for chart_title, (value, lower, upper) in reversed(list(charts.items())):
        chart = category.chart.add(title=chart_title)
        chart.margin.series.add(value=value, lower=lower, upper=upper)
    layout = layout_pb2.Layout(category=[category])
    summary = summary_pb2.Summary()
    summary.value.add(
        tag=custom_scalars_metadata.CONFIG_SUMMARY_TAG,
        metadata=custom_scalars_metadata.create_summary_metadata(),
        tensor=tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[layout.SerializeToString()]),
    )
    return _summary_event(summary, 0, wall_time)


def _table_value(value: Scalar) -> bool | float | str:
    """What the table can show: it knows neither null nor numbers that are not finite."""
    if value is None:
        return "null"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _data_type(value: bool | float | str) -> int:
    """The type by which the table sorts and filters a column."""
    if isinstance(value, bool):
        return int(api_pb2.DATA_TYPE_BOOL)
    return int(api_pb2.DATA_TYPE_STRING if isinstance(value, str) else api_pb2.DATA_TYPE_FLOAT64)


def _summary_event(summary: summary_pb2.Summary, update: int, wall_time: float) -> bytes:
    """One event around a summary."""
    return _framed(event_pb2.Event(wall_time=wall_time, step=update, summary=summary))


def _framed(event: event_pb2.Event) -> bytes:
    """An event as one record of an events file."""
    return framing.frame(event.SerializeToString())
