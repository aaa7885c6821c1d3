"""Normal numbers from random words: 16 bits select an entry of a table of quantiles.

Letters: P words.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

NUMBERS_AT_ONCE = 2**15  # on the CPU: 12 bytes of scratch a number, so that scratch and table fit in the cache


def normal(words: Tensor, standard_deviation: float, out: Tensor) -> Tensor:
    """Normal numbers of mean 0, two from each word: a half word k in [0, 2^16) gives the quantile at (k + 1/2) / 2^16.

    The quantiles are scaled to the exact variance and rounded to float32. They are symmetric about 0; the largest is
    4.33 standard deviations, which a normal number exceeds once in 65,000 times.

    Args:
        words: (P, ...), int32, any strides.
        standard_deviation: Standard deviation of the numbers, >= 0.
        out: (2P, ...) or (2P - 1, ...), float32 or float64, any strides; overwritten: number 2p comes from the lower
            half of word p, number 2p + 1 from its upper half.

    Returns:
        `out`.

    Cost: 1 ns a number on one core, without the random words.
    """
    quantiles = _normal_quantiles(standard_deviation, words.device)
    halves = words.unsqueeze(-1).view(torch.int16).movedim(-1, 1)  # (P, 2, ...), the lower ones first
    if words.device.type != "cpu":
        unsigned = halves.to(torch.int64).bitwise_and_(0xFFFF)
        return out.copy_(torch.take(quantiles, unsigned).flatten(0, 1)[: len(out)])
    table, indices, places = quantiles.numpy(), halves.numpy().view(np.uint16), out.numpy()
    at_once = min(len(words), max(1, NUMBERS_AT_ONCE // halves[0].numel()))
    index = np.empty((at_once, *halves.shape[1:]), np.intp)
    gathered = np.empty(index.shape, np.float32)
    for start in range(0, len(words), at_once):
        stop = min(start + at_once, len(words))
        chosen, numbers = index[: stop - start], gathered[: stop - start]
        np.copyto(chosen, indices[start:stop])
        np.take(table, chosen, out=numbers, mode="wrap")  # "raise" would copy `out`
        part = places[2 * start : 2 * stop]
        part[...] = numbers.reshape(-1, *numbers.shape[2:])[: len(part)]
    return out


@lru_cache(maxsize=16)
def _normal_quantiles(standard_deviation: float, device: torch.device) -> Tensor:
    """Table of quantiles of `normal`, (2^16,), float32; computed on the CPU for the same bits on every device."""
    quantiles: Tensor = torch.special.ndtri((torch.arange(2**16, dtype=torch.float64) + 0.5) / 2**16)
    quantiles *= standard_deviation / float(quantiles.square().mean().sqrt())
    return quantiles.to(torch.float32).to(device)
