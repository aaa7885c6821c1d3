"""TensorBoard events as bytes: each function returns framed records, ready to be appended to an events file.

Importing this module imports TensorBoard (not TensorFlow); import it only when a run starts.
"""

# TensorBoard ships no types.
# mypy: disable-error-code="import-untyped"

import itertools
import math
import os
import re
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
from tensorboard.plugins.hparams import summary_v2 as hparams_summary
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.plugins.text import summary_v2 as text_summary

from rnnbench.records import framing
from rnnbench.records.board import Chart, Shown

FILE_PREFIX = "events.out.tfevents."

Scalar = bool | int | float | str | None

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Two numbers that differ in every byte.
_DIFFERENT_BYTES = struct.unpack("<ff", b"\x01\x01\x01\x01\x02\x02\x02\x02")
_file_counter = itertools.count()
_DIGITS = 10


def new_file_name(older: Iterable[Path] = ()) -> str:
    """Return the name of a new events file, which sorts after the older ones in the same folder.

    TensorBoard reads a folder's files in the order of their names, which begin with a time in seconds.
    """
    seconds = int(time.time())
    for path in older:
        number = path.name.removeprefix(FILE_PREFIX).split(".")[0]
        if number.isdecimal() and len(number) <= _DIGITS:  # otherwise the file belongs to another program
            seconds = max(seconds, int(number) + 1)
    return f"{FILE_PREFIX}{seconds:0{_DIGITS}d}.{socket.gethostname()}.{os.getpid()}.{next(_file_counter)}"


def file_version() -> bytes:
    """Return the first event of a file."""
    return _framed(event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2"))


def scalars(
    shown: Sequence[Shown],
    update: int,
    wall_time: float,
    table: NDArray[np.float64],
    present: NDArray[np.bool_],
    described: NDArray[np.bool_] | None = None,
) -> list[bytes]:
    """Return one event for each of several runs, with its present scalars in float32, TensorBoard's precision.

    A run without scalars gets b"".

    Args:
        shown: Tag and description of each of C scalars.
        update: Index of the update.
        wall_time: Now, in seconds since the epoch.
        table: Numbers, shape (C, n) for n runs.
        present: Whether each number is present, shape (C, n).
        described: Whether each number is recorded with its description, which TensorBoard needs once for each run and
            tag, shape (C, n); None: none is.
    """
    with np.errstate(over="ignore"):  # numbers beyond float32 become infinite
        numbers = table.T.astype("<f4", order="C").view(np.uint8).reshape(table.shape[1], len(shown), 4)
    records = [b""] * len(numbers)
    described = np.zeros_like(present) if described is None else described
    alike: dict[bytes, list[int]] = {}
    for run, (there, with_text) in enumerate(zip(present.T, described.T, strict=True)):
        if there.any():
            alike.setdefault(there.tobytes() + with_text.tobytes(), []).append(run)
    for runs in alike.values():
        pattern, with_text = present[:, runs[0]], described[:, runs[0]]
        # Events with the same scalars differ in the bytes of their numbers alone, which are where those of two differ.
        of_these = [(one, text) for one, text, is_there in zip(shown, with_text, pattern, strict=True) if is_there]
        event, other = (_scalars_event(of_these, update, wall_time, number) for number in _DIFFERENT_BYTES)
        events = np.tile(event, (len(runs), 1))
        events[:, event != other] = numbers[runs][:, pattern].reshape(len(runs), -1)
        for run, row in zip(runs, events, strict=True):
            records[run] = framing.frame(row.tobytes())
    return records


def _scalars_event(
    scalars: Sequence[tuple[Shown, np.bool_]], update: int, wall_time: float, number: float
) -> NDArray[np.uint8]:
    """Return the bytes of an event that holds one number under all tags, with the descriptions of some."""
    event = event_pb2.Event(wall_time=wall_time, step=update)
    for shown, is_described in scalars:
        metadata = None
        if is_described and shown.description:
            # The data class has to be there: without it TensorBoard's fast reader drops the description.
            metadata = scalar_metadata.create_summary_metadata(shown.tag, shown.description)
        event.summary.value.add(tag=shown.tag, simple_value=number, metadata=metadata)
    return np.frombuffer(event.SerializeToString(), np.uint8)


def picture(tag: str, update: int, wall_time: float, png: bytes) -> bytes:
    """Return an event with a picture.

    Raises:
        ValueError: The bytes are not a PNG file.
    """
    width, height = png_size(png)
    image = summary_pb2.Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
    return _summary_event(summary_pb2.Summary(value=[{"tag": tag, "image": image}]), update, wall_time)


def png_size(png: bytes) -> tuple[int, int]:
    """Return width and height in pixels, from the first block of a PNG file.

    Raises:
        ValueError: The bytes are not a PNG file.
    """
    if png[:8] != _PNG_SIGNATURE or len(png) < 24:
        raise ValueError("a picture must be a PNG file, as bytes")
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def histogram(tag: str, update: int, wall_time: float, values: NDArray[np.floating]) -> bytes:
    """Return an event with the counts of the finite values in 30 bins of equal width between the extremes."""
    finite = values[np.isfinite(values)]
    return _summary_event(histogram_summary.histogram_pb(tag, finite), update, wall_time)


def text(tag: str, wall_time: float, markdown: str) -> bytes:
    """Return an event with a text in Markdown."""
    return _summary_event(text_summary.text_pb(tag, markdown), 0, wall_time)


def hyperparameters(trial: str, wall_time: float, values: Mapping[str, Scalar]) -> bytes:
    """Return the event that the HPARAMS page reads for a run.

    It does not list the table's columns, so TensorBoard determines them from all shown runs, and which of them vary.

    Args:
        trial: Name of the run's row in the table. Runs with the same name are one trial, whose metrics are averaged.
        wall_time: When the run started, in seconds since the epoch.
        values: Hyperparameters, the same for all runs of a trial.
    """
    shown = {name: _table_value(value) for name, value in values.items()}
    return _summary_event(hparams_summary.hparams_pb(shown, trial_id=trial, start_time_secs=wall_time), 0, wall_time)


def custom_scalars(wall_time: float, title: str, charts: Sequence[Chart], tags: Mapping[str, str]) -> bytes:
    """Return the layout of the CUSTOM SCALARS page.

    TensorBoard joins the layouts of all runs under one title and omits duplicate charts.

    Args:
        wall_time: Now, in seconds since the epoch.
        title: Heading above the charts.
        charts: The charts; lines and bands without a tag are left out.
        tags: Tag of each column and constant.
    """
    category = layout_pb2.Category(title=title)
    # TensorBoard 2.21 shows lines in their order, and bands from the last to the first.
    for chart in charts if any(chart.lines for chart in charts) else reversed(charts):
        lines = [f"{re.escape(tags[name])}$" for name in chart.lines if name in tags]
        bands = [[tags[name] for name in band] for band in chart.bands if all(name in tags for name in band)]
        if lines:
            category.chart.add(title=chart.title).multiline.tag.extend(lines)
        elif bands:
            margin = category.chart.add(title=chart.title).margin
            for value, lower, upper in bands:
                margin.series.add(value=value, lower=lower, upper=upper)
    layout = layout_pb2.Layout(category=[category])
    summary = summary_pb2.Summary()
    summary.value.add(
        tag=custom_scalars_metadata.CONFIG_SUMMARY_TAG,
        metadata=custom_scalars_metadata.create_summary_metadata(),
        tensor=tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[layout.SerializeToString()]),
    )
    return _summary_event(summary, 0, wall_time)


def _table_value(value: Scalar) -> bool | float | str:
    """A value that the table can show: it supports neither null nor numbers that are not finite."""
    if value is None:
        return "null"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _summary_event(summary: summary_pb2.Summary, update: int, wall_time: float) -> bytes:
    """One event around a summary."""
    return _framed(event_pb2.Event(wall_time=wall_time, step=update, summary=summary))


def _framed(event: event_pb2.Event) -> bytes:
    """An event as one record of an events file."""
    return framing.frame(event.SerializeToString())
