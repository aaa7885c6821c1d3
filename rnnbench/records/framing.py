"""Records of an events file: length, checksum of the length, data, checksum of the data.

The format is that of TensorFlow's record files; the checksum is CRC-32C, masked by a rotation and a constant.
TensorBoard computes it byte after byte in Python, 0.1 ms a kilobyte, which was three quarters of the cost of logging.
Here many records of one length are done at once, each in blocks of bytes that do not wait for one another.
"""

import functools
import struct

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, the lowest power in the highest bit
_BLOCK = 512  # bytes; the tables take 1 KiB for each
_HEADER = 12  # bytes before the data: an unsigned integer of 8, a checksum of 4


def _make_tables() -> NDArray[np.uint32]:
    """What a byte at each place of a block adds to the checksum of the block, shape (_BLOCK, 256).

    The checksum is linear over the field of two elements: that of a block is the exclusive or of those of its bytes,
    each followed by as many zero bytes as there are places after it.
    """
    alone = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        alone = np.where(alone & 1, (alone >> 1) ^ np.uint32(_POLYNOMIAL), alone >> 1)
    tables = [alone]
    while len(tables) < _BLOCK:
        tables.append((tables[-1] >> 8) ^ alone[tables[-1] & 0xFF])
    return np.stack(tables[::-1])


_TABLES = _make_tables().ravel()
_PLACES = 256 * np.arange(_BLOCK)


def checksums(data: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Masked CRC-32C of n byte strings of one length.

    Args:
        data: Shape (n, length), with a length of at least 4.

    Returns:
        Shape (n,).
    """
    count, length = data.shape
    num_blocks = -(-length // _BLOCK)
    start = num_blocks * _BLOCK - length
    # Zeros in front change nothing; that the checksum begins with 32 ones is the same as inverting the first 4 bytes.
    padded = np.zeros((count, num_blocks * _BLOCK), dtype=np.uint8)
    padded[:, start:] = data
    padded[:, start : start + 4] ^= 0xFF
    state = np.zeros(count, dtype="<u4")
    for block in np.split(padded, num_blocks, axis=1):
        block[:, :4] ^= state.view(np.uint8).reshape(count, 4)
        state = np.bitwise_xor.reduce(_TABLES.take(_PLACES + block), axis=1).astype("<u4")
    state = ~state
    masked = ((state >> 15) | (state << 17)) + np.uint32(0xA282EAD8)
    return masked.astype(np.uint32)


def frame(data: NDArray[np.uint8]) -> list[bytes]:
    """Make records of n byte strings of one length.

    Args:
        data: Shape (n, length), with a length of at least 4.
    """
    header = _header(data.shape[1])
    return [
        header + row.tobytes() + struct.pack("<I", checksum)
        for row, checksum in zip(data, checksums(data).tolist(), strict=True)
    ]


def whole_records(contents: bytes) -> int:
    """How many bytes at the start of a file are whole records: all of them, unless a machine went down while it wrote.

    The data of the last record are checked, and of those before it the lengths.

    Args:
        contents: Of the file.
    """
    starts, end = [0], 0
    while end + _HEADER <= len(contents):
        (length,) = struct.unpack_from("<Q", contents, end)
        is_header = length >= 4 and contents[end : end + _HEADER] == _header(length)
        end += _HEADER + length + 4
        if not is_header or end > len(contents):
            break
        starts.append(end)
    while len(starts) > 1:
        first, end = starts[-2:]
        data = contents[first + _HEADER : end - 4]
        if frame(np.frombuffer(data, np.uint8)[None]) == [contents[first:end]]:
            break
        starts.pop()
    return starts[-1]


@functools.lru_cache(1024)
def _header(length: int) -> bytes:
    """What stands before data of that many bytes."""
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", *checksums(np.frombuffer(packed, np.uint8)[None]).tolist())
