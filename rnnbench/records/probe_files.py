"""Files that `rnnbench probe` writes for one net: numbers, pictures, and TensorBoard events with both."""

import io
import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnnbench.records import events, metrics_csv
from rnnbench.records.board import PLAIN, Board
from rnnbench.records.errors import RecordError
from rnnbench.records.growing_file import create_file, failure
from rnnbench.records.lock import FILE_NAME as LOCK
from rnnbench.records.scalar_events import ScalarEvents
from rnnbench.records.whole_file import replace_file

NUMBERS = "probe.csv"
"""A header and one row, in the format of metrics.csv."""


def prepare_folder(folder: Path) -> None:
    """Create a result folder, or accept an existing one that is empty or holds earlier results of a probe.

    Raises:
        RecordError: The folder holds other files, or cannot be created.
    """
    try:
        if folder.exists() and not (folder / NUMBERS).is_file() and {*os.listdir(folder)} - {LOCK}:
            raise RecordError(f"{folder} holds other files; --out DIR puts the results elsewhere")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise failure(f"cannot write into {folder}", error) from error


def write_findings(
    folder: Path,
    update: int,
    scalars: Mapping[str, float],
    histograms: Mapping[str, NDArray[np.float64]],
    pictures: Mapping[str, bytes],
    board: Board = PLAIN,
    picture_scale: int = 1,
) -> None:
    """Write the results of the probes; results of an earlier call are removed.

    Args:
        folder: Result folder, from `prepare_folder`.
        update: Number of updates at the checkpoint.
        scalars: Tag -> number.
        histograms: Tag -> values.
        pictures: Tag -> PNG; a slash in the tag becomes _ in the file name.
        board: Tags and descriptions of the scalars in TensorBoard.
        picture_scale: How many times as wide the pictures are as in TensorBoard.

    Raises:
        RecordError: A file cannot be written.
    """
    columns, now = list(scalars), time.time()
    table, present = metrics_csv.tabulate(columns, {tag: [value] for tag, value in scalars.items()}, 1)
    try:
        for old in (*folder.glob(f"{events.FILE_PREFIX}*"), *folder.glob("*.png")):
            old.unlink()
        for tag, png in pictures.items():
            (folder / f"{tag.replace('/', '_')}.png").write_bytes(png)
    except OSError as error:
        raise failure(f"cannot write into {folder}", error) from error
    file = create_file(folder / events.new_file_name(), events.file_version())
    for record in ScalarEvents(columns, board, 1).events(update, now, [0], table, present):
        file.add(record)
    for tag, values in histograms.items():
        file.add(events.histogram(tag, update, now, values))
    for tag, png in pictures.items():
        file.add(events.picture(tag, update, now, _reduced(png, picture_scale)))
    file.flush(durable=True)
    (row,) = metrics_csv.rows(update, table, present)
    replace_file(folder / NUMBERS, (metrics_csv.header(columns) + row).decode())


def _reduced(png: bytes, scale: int) -> bytes:
    """Return a picture with so many times fewer pixels in each direction: TensorBoard would leave out rows of them."""
    if scale == 1:
        return png
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.reduce(scale).save(buffer, "PNG")
    return buffer.getvalue()
