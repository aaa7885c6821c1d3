"""Records of events files, against TensorBoard's own writer and reader."""

import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tensorboard.compat.tensorflow_stub import errors
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New
from tensorboard.summary.writer.record_writer import RecordWriter

from rnnbench.records.framing import frame, whole_records


def framed_by_tensorboard(*strings):
    buffer = io.BytesIO()
    writer = RecordWriter(buffer)
    for string in strings:
        writer.write(string)
    return buffer.getvalue()


def read_by_tensorboard(path, count):
    reader = PyRecordReader_New(str(path))
    records = []
    for _ in range(count):
        reader.GetNext()
        records.append(reader.record())
    return records


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
        assert frame(data)[-4:] == (masked & 0xFFFFFFFF).to_bytes(4, "little")


@settings(max_examples=60)
@given(st.binary(max_size=1600))
@example(bytes(4))
@example(bytes(70_000))
def test_records_are_those_of_tensorboard(data):
    assert frame(data) == framed_by_tensorboard(data)


def test_tensorboard_reads_the_records_and_checks_their_sums(tmp_path):
    """With the reader that the page has; of a byte that is changed it says so."""
    strings = [b"first", b"2nd!", bytes(range(256)) * 5]
    path = tmp_path / "events.out.tfevents.0000000001.host"
    path.write_bytes(b"".join(map(frame, strings)))
    assert read_by_tensorboard(path, len(strings)) == strings
    contents = bytearray(path.read_bytes())
    contents[-10] ^= 1
    path.write_bytes(contents)
    with pytest.raises(errors.DataLossError):
        read_by_tensorboard(path, len(strings))


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
