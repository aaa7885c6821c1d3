"""Records of an events file: length, checksum of the length, data, checksum of the data.

The format is that of TensorFlow's record files; the checksum is CRC-32C, masked by a rotation and a constant.
"""

import functools
import struct

import google_crc32c

_HEADER = 12  # bytes before the data: an unsigned integer of 8, a checksum of 4


def frame(data: bytes) -> bytes:
    """Make a record of some bytes."""
    return _header(len(data)) + data + _checksum(data)


def whole_records(contents: bytes) -> int:
    """Number of bytes at the start of an events file that are whole records.

    That is all of them, unless the machine stopped while it wrote the file. The data of the last record are checked,
    of the records before it the lengths alone.

    Args:
        contents: Contents of the file.
    """
    starts, end = [0], 0
    while end + _HEADER <= len(contents):
        (length,) = struct.unpack_from("<Q", contents, end)
        # No event is empty; a file that was enlarged but not written ends in zeros, whose checksum is not 0 either.
        is_header = length > 0 and contents[end : end + _HEADER] == _header(length)
        end += _HEADER + length + 4
        if not is_header or end > len(contents):
            break
        starts.append(end)
    while len(starts) > 1:
        first, end = starts[-2:]
        if contents[end - 4 : end] == _checksum(contents[first + _HEADER : end - 4]):
            break
        starts.pop()
    return starts[-1]


@functools.lru_cache(1024)
def _header(length: int) -> bytes:
    """Bytes before data of a length."""
    packed = struct.pack("<Q", length)
    return packed + _checksum(packed)


def _checksum(data: bytes) -> bytes:
    """Masked CRC-32C of some bytes."""
    plain: int = google_crc32c.value(data)
    return struct.pack("<I", ((plain >> 15 | plain << 17) + 0xA282EAD8) & 0xFFFFFFFF)
