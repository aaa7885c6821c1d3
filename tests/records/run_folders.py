"""Run folders for the tests, and how TensorBoard reads them."""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rnnbench.records.writer import Records


def make_folders(root: Path, num_replicas: int) -> list[Path]:
    folders = [root / str(replica) for replica in range(num_replicas)]
    for folder in folders:
        folder.mkdir()
    return folders


def checkpoint_lengths(records: Records) -> list[dict[str, int]]:
    """What a checkpoint at this moment keeps."""
    kept: list[Mapping[str, int]] = []
    records.checkpoint(kept.extend)
    records.sync()
    return [dict(lengths) for lengths in kept]


def read_events(folder: Path) -> EventAccumulator:
    """All events of a folder, none thinned out."""
    everything = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0}
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def read_scalars(folder: Path, tag: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in read_events(folder).Scalars(tag)]


def png(width: int, height: int) -> bytes:
    """A black picture."""

    def block(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = block(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = block(b"IDAT", zlib.compress(b"\0" * (width + 1) * height))
    return b"\x89PNG\r\n\x1a\n" + header + rows + block(b"IEND", b"")
