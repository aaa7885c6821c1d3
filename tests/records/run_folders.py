"""Run folders for the tests, and how TensorBoard reads them."""

import struct
import zlib

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def make_folders(root, num_replicas):
    folders = [root / str(replica) for replica in range(num_replicas)]
    for folder in folders:
        folder.mkdir()
    return folders


def checkpoint_lengths(records):
    """What a checkpoint at this moment keeps."""
    kept = []
    records.checkpoint(kept.extend)
    records.sync()
    return [dict(lengths) for lengths in kept]


def read_events(folder):
    """All events of a folder, none thinned out."""
    everything = {"scalars": 0, "images": 0, "histograms": 0, "tensors": 0}
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def read_scalars(folder, tag):
    return [(event.step, event.value) for event in read_events(folder).Scalars(tag)]


def png(width, height):
    """A black picture."""

    def block(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = block(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = block(b"IDAT", zlib.compress(b"\0" * (width + 1) * height))
    return b"\x89PNG\r\n\x1a\n" + header + rows + block(b"IEND", b"")
