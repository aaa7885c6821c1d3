"""Quantiles of numbers that may be infinite: the one definition, for all that a person is shown."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ROUNDING = 1e-9  # of the product of a share and a number of values


def order_quantiles(values: NDArray[np.float64], shares: Sequence[float]) -> NDArray[np.float64]:
    """Quantiles along the first axis that are values themselves, so that infinite ones do no harm.

    Args:
        values: Without NaN, (n, ...), n at least one.
        shares: Between 0 and 1, k of them.

    Returns:
        For each share the smallest value that at least this share of the values does not exceed, (k, ...).
    """
    ranks = [max(0, math.ceil(share * len(values) - _ROUNDING) - 1) for share in shares]
    quantiles: NDArray[np.float64] = np.sort(values, axis=0)[ranks]
    return quantiles


def median(values: ArrayLike | Sequence[float | None]) -> float | None:
    """The smallest number that at least half of the numbers do not exceed; None where there is none.

    Args:
        values: Numbers, of any shape. None and NaN are left out; an infinite one, as the loss of a run that diverged,
            counts as larger than all others.
    """
    numbers: NDArray[np.float64] = np.asarray(values, dtype=np.float64).ravel()
    present = numbers[~np.isnan(numbers)]
    return float(order_quantiles(present, [0.5])[0]) if present.size else None
