"""Normal numbers out of random words: 16 bits choose one out of a table of quantiles.

Letters: P words.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

NUMBERS_AT_ONCE = 2**15  # on the CPU: scratch of 12 bytes a number, so that it stays in the cache beside the table


def normal(words: Tensor, standard_deviation: float, out: Tensor) -> Tensor:
    """Normal numbers of mean 0, two out of each word: half k, in [0, 2^16), is the quantile at (k + 1/2) / 2^16.

    The quantiles are scaled so that their variance is that of the numbers, and rounded to float32. They are symmetric
    about 0, and the largest lies at 4.33 standard deviations: a normal number is beyond once in 65,000 times.

    Args:
        words: (P, ...), int32 of any strides.
        standard_deviation: Of the numbers, >= 0.
        out: (2P, ...) or (2P - 1, ...), float32 or float64, of any strides; overwritten: number 2p is that of the lower
            half of word p, 2p + 1 that of its upper half.

    Returns:
        `out`.

    Cost: 1 ns a number on one core, beside its half of a word.
    """
    quantiles = _normal_quantiles(standard_deviation, words.device)
    halves = words.unsqueeze(-1).view(torch.int16).movedim(-1, 1)  # (P, 2, ...), the lower ones first
    if words.device.type != "cpu":
        unsigned = halves.to(torch.int64).bitwise_and_(0xFFFF)
        return out.copy_(torch.take(quantiles, unsigned).flatten(0, 1)[: len(out)])
    table, indices, places = quantiles.numpy(), halves.numpy().view(np.uint16), out.numpy()
    at_once = min(len(words), max(1, NUMBERS_AT_ONCE // halves[0].numel()))
    index = np.empty((at_once, *halves.shape[1:]), np.intp)
    found = np.empty(index.shape, np.float32)
    for start in range(0, len(words), at_once):
        stop = min(start + at_once, len(words))
        chosen, numbers = index[: stop - start], found[: stop - start]
        np.copyto(chosen, indices[start:stop])
        np.take(table, chosen, out=numbers, mode="wrap")  # "raise" would go through a copy of `out`
        part = places[2 * start : 2 * stop]
        part[...] = numbers.reshape(-1, *numbers.shape[2:])[: len(part)]
    return out


@lru_cache(maxsize=16)
def _normal_quantiles(standard_deviation: float, device: torch.device) -> Tensor:
    """The numbers that `normal` chooses from, (2^16,), float32; made on the CPU for the same bits anywhere."""
    quantiles: Tensor = torch.special.ndtri((torch.arange(2**16, dtype=torch.float64) + 0.5) / 2**16)
    quantiles *= standard_deviation / float(quantiles.square().mean().sqrt())
    return quantiles.to(torch.float32).to(device)
