"""Quantiles of numbers that may be infinite; all tables and figures use this definition."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ROUNDING = 1e-9  # rounding error of a share times a number of values


def order_quantiles(values: NDArray[np.float64], shares: Sequence[float]) -> NDArray[np.float64]:
    """Compute quantiles along the first axis without interpolation, so that infinite values are allowed.

    Args:
        values: Values without NaN, (n, ...), n at least one.
        shares: Shares between 0 and 1, k of them.

    Returns:
        For each share the smallest value that is not exceeded by at least this share of the values, (k, ...).
    """
    ranks = [max(0, math.ceil(share * len(values) - _ROUNDING) - 1) for share in shares]
    quantiles: NDArray[np.float64] = np.sort(values, axis=0)[ranks]
    return quantiles


def median(values: ArrayLike | Sequence[float | None]) -> float | None:
    """Return the smallest number that is not exceeded by at least half of the numbers; None: there are no numbers.

    Args:
        values: Numbers of any shape. None and NaN are ignored; infinity, such as the loss of a diverged run, is larger
            than all other numbers.
    """
    numbers: NDArray[np.float64] = np.asarray(values, dtype=np.float64).ravel()
    present = numbers[~np.isnan(numbers)]
    return float(order_quantiles(present, [0.5])[0]) if present.size else None
