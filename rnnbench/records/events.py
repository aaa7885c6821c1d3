"""TensorBoard events as bytes: each function returns framed records, ready to be appended to an events file.

Importing this module imports TensorBoard (not TensorFlow); import it only when a run starts.
"""

# TensorBoard ships no types.
# mypy: disable-error-code="import-untyped"

import io
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
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.histogram import summary_v2 as histogram_summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams import summary_v2 as hparams_summary
from tensorboard.plugins.text import summary_v2 as text_summary
from tensorboard.summary.writer.record_writer import RecordWriter

FILE_PREFIX = "events.out.tfevents."

Scalar = bool | int | float | str | None

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_file_counter = itertools.count()


def new_file_name(older: Iterable[Path] = ()) -> str:
    """Name of a new events file, which sorts after the older ones of the same folder.

    TensorBoard reads a folder's files in the order of their names, that is of their first number, a time in seconds.
    """
    seconds = int(time.time())
    for path in older:
        seconds = max(seconds, int(path.name.removeprefix(FILE_PREFIX).split(".")[0]) + 1)
    return f"{FILE_PREFIX}{seconds:010d}.{socket.gethostname()}.{os.getpid()}.{next(_file_counter)}"


def file_version() -> bytes:
    """The event that every file begins with."""
    return _framed(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))


def scalars(
    tags: Sequence[str], update: int, wall_time: float, values: Sequence[float], present: Sequence[bool]
) -> bytes:
    """One event that holds the present scalars of one update, in float32, which is what TensorBoard keeps."""
    event = event_pb2.Event(wall_time=wall_time, step=update)
    add = event.summary.value.add
    for tag, value, there in zip(tags, values, present, strict=True):
        if there:
            add(tag=tag, simple_value=value)
    return _framed(event)


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
    buffer = io.BytesIO()
    RecordWriter(buffer).write(event.SerializeToString())
    return buffer.getvalue()
