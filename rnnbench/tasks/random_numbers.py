"""Counter-based random numbers: each number is a pure function of its seed and counter, so there is no state.

The generator is Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011),
written in int64 array operations: the same bits on CPU and CUDA, no generator object, no host synchronisation.

One block of four 32-bit words covers two neighbouring positions of two neighbouring rows of one replica:

| word | holds | limit |
| --- | --- | --- |
| key 0, key 1 | low and high half of the replica's seed | seed < 2^63 |
| counter 0 | position // 2 | position < 2^32 |
| counter 1 | row // 2; 2^32 - 1 for words shared by a batch | row < 2^32 |
| counter 2 | update | update < 2^32 |
| counter 3 | stream | stream < 2^32 |

Output word 2 (position % 2) + 1 - row % 2 of the block belongs to that position and row.

Letters: R replicas, B rows, P positions.
"""

import operator
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL_INCREMENTS = (0x9E3779B9, 0xBB67AE85)  # added to the key after each round
NUM_ROUNDS = 10
WORD_BITS = 32
WORD_LIMIT = 1 << WORD_BITS
WORD_MASK = WORD_LIMIT - 1
SEED_LIMIT = 2**63
BATCH_ROW_PAIR = WORD_LIMIT - 1  # no row has this pair: rows // 2 < 2^31
BLOCKS_AT_ONCE = 2**15  # on the CPU: 48 bytes of scratch a block, so that it fits in the cache

Updates = int | Sequence[int]
"""Index of the update of a batch, >= 0: one for all replicas, or one per replica."""

Array = Tensor | np.ndarray
Word = Array | int


def key_schedule(seeds: Tensor) -> Tensor:
    """Round keys for `philox4x32`, two rounds in one number.

    Rounds 2i and 2i + 1 share one exclusive or: the upper half of a product takes the key of its own round; the lower
    half goes unchanged into the next round and takes the key of that one.

    Args:
        seeds: int64, any shape; all 64 bits are used.

    Returns:
        (5, 2, *seeds.shape), int64; the second axis holds the schedules of key word 1 and of key word 0.
    """
    rounds = torch.arange(NUM_ROUNDS, device=seeds.device).view(NUM_ROUNDS, *[1] * seeds.dim())
    low = (seeds + rounds * WEYL_INCREMENTS[0]) & WORD_MASK
    high = ((seeds >> 32) + rounds * WEYL_INCREMENTS[1]) & WORD_MASK
    keys = torch.stack((high, low), dim=1)  # (10, 2, ...)
    return (keys[0::2] << 32) | keys[1::2]


def philox4x32(counter: tuple[Word, Word, Word, Word], keys: Array, scratch: Array, out: Array) -> None:
    """Apply the ten rounds of Philox to every block.

    A round maps (c0, c1, c2, c3) to (high(M1 c2) ^ c1 ^ k0, low(M1 c2), high(M0 c0) ^ c3 ^ k1, low(M0 c0)). Words 0 and
    2 lie in one array and are swapped after every round. Words 1 and 3 are the lower halves of the last products; their
    upper halves are masked only where they would matter.

    The arrays are all torch tensors or all numpy arrays; numpy's integer products take a third of the time on a CPU.

    Args:
        counter: Words in [0, 2^32), each an int or an int64 array that broadcasts to the blocks' shape.
        keys: From `key_schedule`, (5, 2, ...); the other axes broadcast to the blocks' shape.
        scratch: (3, 2, *blocks), int64, overwritten.
        out: (2, *blocks), int64, overwritten: words 0 and 1 as the upper and lower half of one number, then 2 and 3.
    """
    arrays: Any = torch if isinstance(out, Tensor) else np
    # numpy reverses the pair as a view; torch has to copy.
    cross: Callable[[Any], Any] = (lambda pair: pair.flip(0)) if arrays is torch else (lambda pair: pair[::-1])
    words, products, previous = scratch
    words[0], previous[0], words[1], previous[1] = counter
    *round_multipliers, half, mask = _constants(out.device if isinstance(out, Tensor) else None, out.ndim)
    for round_index in range(NUM_ROUNDS - 1):
        arrays.multiply(words, round_multipliers[round_index % 2], out=products)
        if round_index % 2 == 0:
            arrays.bitwise_xor(products, keys[round_index // 2], out=products)
        arrays.bitwise_right_shift(products, half, out=words)
        arrays.bitwise_xor(words, cross(previous), out=words)
        arrays.bitwise_and(words, mask, out=words)
        products, previous = previous, products
    arrays.multiply(words, round_multipliers[1], out=products)
    arrays.bitwise_left_shift(previous, half, out=previous)
    arrays.bitwise_xor(products, cross(previous), out=out)


def random_words(
    seeds: Sequence[int],
    stream: int,
    update: Updates,
    num_positions: int,
    num_rows: int,
    *,
    first_row: int = 0,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Random 32-bit words for the first positions of consecutive rows.

    Args:
        seeds: R seeds, one per replica, each in [0, 2^63).
        stream: Independent stream of the seed, in [0, 2^32).
        update: In [0, 2^32); one for all replicas, or one per replica.
        num_positions: P, at most 2^32.
        num_rows: B.
        first_row: Index of the first row; first_row + num_rows is at most 2^32.
        device: Device of the result.

    Returns:
        (P, R, B), int32: the words as signed numbers, all 2^32 values equally likely.

    Raises:
        ValueError: An argument lies outside its limits.

    Cost: P R B / 4 blocks; about 6 ns a number on one core for 260,000 numbers, 0.1 ms at least.
    """
    check_range("first_row", first_row, 0, WORD_LIMIT)
    check_range("batch_size", num_rows, 1, WORD_LIMIT + 1)
    check_range("first_row + batch_size", first_row + num_rows, 1, WORD_LIMIT + 1)
    first_pair = first_row // 2
    stop_pair = (first_row + num_rows + 1) // 2
    words = _words_of_pairs(seeds, stream, update, num_positions, (first_pair, stop_pair), device)
    start = first_row - 2 * first_pair
    return words[:, :, start : start + num_rows]


def batch_words(
    seeds: Sequence[int], stream: int, update: Updates, num_positions: int, *, device: torch.device | str = "cpu"
) -> Tensor:
    """Random 32-bit words shared by all rows of a batch; they do not depend on the number of rows.

    Args:
        seeds: R seeds, one per replica, each in [0, 2^63).
        stream: Independent stream of the seed, in [0, 2^32).
        update: In [0, 2^32); one for all replicas, or one per replica.
        num_positions: P, at most 2^32.
        device: Device of the result.

    Returns:
        (P, R, 1), int32; see `random_words`.

    Raises:
        ValueError: An argument lies outside its limits.
    """
    pairs = (BATCH_ROW_PAIR, BATCH_ROW_PAIR + 1)
    return _words_of_pairs(seeds, stream, update, num_positions, pairs, device)[:, :, :1]


def uniform(words: Tensor, out: Tensor) -> Tensor:
    """Uniform numbers in [0, 1), multiples of 2^-24: floor(word / 256) / 2^24, exact in float32 and float64.

    Args:
        words: int32.
        out: Floating point, the same shape, any strides; overwritten.

    Returns:
        `out`.
    """
    fractions = torch.bitwise_right_shift(words, 8).bitwise_and_(0xFFFFFF)
    return torch.mul(fractions, 2.0**-24, out=out)


def integers(words: Tensor, low: Tensor | int, high: Tensor | int) -> Tensor:
    """Integers with low <= k < high: low + floor(word (high - low) / 2^32).

    The probability of a value differs from 1 / (high - low) by less than 2^-32.

    Args:
        words: int32.
        low: Smallest value, an int or int64 that broadcasts with `words`.
        high: One more than the largest value; 0 < high - low < 2^31.

    Returns:
        int64, of the broadcast shape.
    """
    return ((words.to(torch.int64) & WORD_MASK) * (high - low) >> 32) + low


def num_field_words(num_fields: int, num_bits: int) -> int:
    """Number of words that `bit_fields` needs for `num_fields` fields of `num_bits` bits."""
    return -(-num_fields * num_bits // WORD_BITS)


def bit_fields(words: Tensor, num_bits: int, num_fields: int) -> Tensor:
    """Integers of a few bits, all 2^num_bits values equally likely, cut from as few words as possible.

    Args:
        words: (P, ...), int32; the first `num_field_words` are used.
        num_bits: Bits of a field, a divisor of 32.
        num_fields: Number of fields, starting with the lowest bits of the first word.

    Returns:
        (num_fields, ...), int32.
    """
    fields = (words.unsqueeze(1) >> _field_shifts(num_bits, words.dim(), words.device)) & (1 << num_bits) - 1
    return fields.flatten(0, 1)[:num_fields]


@lru_cache(maxsize=16)
def _field_shifts(num_bits: int, num_dimensions: int, device: torch.device) -> Tensor:
    """Bit offsets of the fields in a word, (fields, 1, ...)."""
    shifts = torch.arange(0, WORD_BITS, num_bits, dtype=torch.int32, device=device)
    return shifts.view(-1, *[1] * (num_dimensions - 1))


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Check that low <= value < high.

    Raises:
        ValueError: The value is out of range; the message gives name, limits and value.
    """
    if not low <= value < high:
        raise ValueError(f"{name} must be in [{low}, {high}), got {value}")


def whole_number(name: str, value: int) -> int:
    """Check that a value is a whole number, of Python or numpy.

    Raises:
        ValueError: It is not; the message gives name and value.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, got {value!r}") from None


def _words_of_pairs(
    seeds: Sequence[int],
    stream: int,
    update: Updates,
    num_positions: int,
    pairs: tuple[int, int],
    device: torch.device | str,
) -> Tensor:
    """Words of all rows of the row pairs start to stop, (P, R, 2 (stop - start)), int32."""
    check_range("stream", stream, 0, WORD_LIMIT)
    for one in (update,) if isinstance(update, int) else (min(update), max(update)):
        check_range("update", one, 0, WORD_LIMIT)
    check_range("number of positions", num_positions, 1, WORD_LIMIT + 1)
    keys = _round_keys(tuple(seeds), torch.device(device))
    num_replicas, num_row_pairs, num_position_pairs = len(seeds), pairs[1] - pairs[0], (num_positions + 1) // 2
    # Expanded in memory: broadcasting over short rows is slower than reading this.
    keys = keys.expand(*keys.shape[:4], num_row_pairs).contiguous()  # (5, 2, 1, R, B / 2)
    device = keys.device
    positions = torch.arange(num_position_pairs, device=device).view(-1, 1, 1)
    rows = torch.arange(*pairs, device=device)
    updates = per_replica(update, device)
    packed = torch.empty((num_position_pairs, 2, num_replicas, num_row_pairs), dtype=torch.int64, device=device)
    at_once = num_position_pairs
    if device.type == "cpu":
        at_once = min(at_once, max(1, BLOCKS_AT_ONCE // (num_replicas * num_row_pairs)))
    scratch = torch.empty((3, 2, at_once, num_replicas, num_row_pairs), dtype=torch.int64, device=device)
    view: Callable[[Tensor], Array] = Tensor.numpy if device.type == "cpu" else Tensor.detach
    position_words, row_words, round_keys = map(view, (positions, rows, keys))
    update_words = view(updates) if isinstance(updates, Tensor) else updates
    for start in range(0, num_position_pairs, at_once):
        part = packed[start : start + at_once].transpose(0, 1)
        counter = (position_words[start : start + at_once], row_words, update_words, stream)
        philox4x32(counter, round_keys, view(scratch[:, :, : part.shape[1]]), view(part))
    return packed.view(torch.int32).view(2 * num_position_pairs, num_replicas, 2 * num_row_pairs)[:num_positions]


def per_replica(update: Updates, device: torch.device) -> Tensor | int:
    """The update index in a form that broadcasts with (R, B): an int, or (R, 1), int64."""
    if isinstance(update, int):
        return update
    indices = torch.tensor(update).unsqueeze(1)
    # A copy from pageable memory would wait until the GPU has finished all earlier work.
    return indices.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else indices.to(device)


@lru_cache(maxsize=16)
def _round_keys(seeds: tuple[int, ...], device: torch.device) -> Tensor:
    """Check the seeds and return their key schedule, (5, 2, 1, R, 1); cached, as all batches of a run use the same."""
    if not seeds:
        raise ValueError("seeds must have at least one entry")
    for seed in seeds:
        check_range("seed", seed, 0, SEED_LIMIT)
    return key_schedule(torch.tensor(seeds, dtype=torch.int64, device=device))[:, :, None, :, None]


@lru_cache(maxsize=16)
def _constants(device: torch.device | None, num_dimensions: int) -> Sequence[Array]:
    """Multipliers in both orders, (2, 1, ...), number of bits of a word, and word mask; numpy arrays if device is None.

    Python numbers would be converted to arrays at every use.
    """
    multipliers = torch.tensor(MULTIPLIERS, device=device).view(2, *[1] * (num_dimensions - 1))
    numbers = (torch.tensor(number, device=device) for number in (32, WORD_MASK))
    constants = (multipliers, multipliers.flip(0), *numbers)
    return [constant.numpy() for constant in constants] if device is None else constants
