"""Records of events files, against TensorBoard's own writer."""

import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tensorboard.summary.writer.record_writer import RecordWriter

from rnnbench.records.framing import checksums, frame, whole_records


def as_array(*strings):
    return np.stack([np.frombuffer(string, np.uint8) for string in strings])


def framed_by_tensorboard(*strings):
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for string in strings:
        writer.write(string)
    return buffer.getvalue()


def test_published_checksums():
    """RFC 3720 (iSCSI), appendix B.4: 32 bytes of zeros, of ones, ascending, descending; and the usual check string."""
    ascending = bytes(range(32))
    expected = {
        bytes(32): 0x8A9136AA,
        b"\xff" * 32: 0x62A8AB43,
        ascending: 0x46DD794E,
        ascending[::-1]: 0x113FDB5C,
        b"123456789": 0xE3069283,
    }
    for data, checksum in expected.items():
        masked = ((checksum >> 15) | (checksum << 17) & 0xFFFFFFFF) + 0xA282EAD8
        assert checksums(as_array(data)).tolist() == [masked & 0xFFFFFFFF]


@settings(max_examples=60)
@given(count=st.integers(1, 5), length=st.integers(4, 1600), seed=st.integers(0, 2**32 - 1))
@example(count=3, length=4, seed=0)
@example(count=3, length=511, seed=0)
@example(count=3, length=512, seed=0)
@example(count=3, length=513, seed=0)
@example(count=3, length=515, seed=0)
@example(count=3, length=1024, seed=0)
def test_records_are_those_of_tensorboard(count, length, seed):
    data = np.random.default_rng(seed).integers(0, 256, (count, length), dtype=np.uint8)
    assert frame(data) == [framed_by_tensorboard(row.tobytes()) for row in data]


def test_whole_records():
    strings = [b"first", b"2nd!", b"the third"]
    contents = framed_by_tensorboard(*strings)
    ends = [len(framed_by_tensorboard(*strings[:count])) for count in range(4)]
    for length in range(len(contents) + 1):
        whole = max(end for end in ends if end <= length)
        assert whole_records(contents[:length]) == whole
        # A power cut can leave a file longer than what reached the disk.
        assert whole_records(contents[:length] + bytes(len(contents) - length)) == whole


@pytest.mark.parametrize("damage", range(5 + 16, 5 + 16 + 4 + 16))
def test_a_damaged_last_record_is_not_whole(damage):
    contents = bytearray(framed_by_tensorboard(b"first", b"2nd!"))
    contents[damage] ^= 0x40
    assert whole_records(bytes(contents)) == 5 + 16


@pytest.mark.parametrize("damage", range(5 + 16, 5 + 16 + 12))
def test_what_follows_a_damaged_length_is_lost(damage):
    """TensorBoard does not read past it either."""
    contents = bytearray(framed_by_tensorboard(b"first", b"2nd!", b"the third"))
    contents[damage] ^= 0x40
    assert whole_records(bytes(contents)) == 5 + 16
