"""Quantiles over replicas or runs: the one definition that records, commands and reports use."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

_ROUNDING = 1e-9  # rounding error of a share times a number of values


def order_quantiles(values: NDArray[np.float64], shares: Sequence[float]) -> NDArray[np.float64]:
    """Compute quantiles along the first axis, without interpolation.

    A quantile is one of the values, so infinite values are allowed. NaN is ignored.

    Args:
        values: Values, (n, ...), n at least one.
        shares: Shares between 0 and 1, k of them.

    Returns:
        For each share, the smallest value for which at least this share of the values is not larger, (k, ...); NaN if
        all values are NaN.

    Source: definition 1 of Hyndman and Fan (1996), The American Statistician 50.
    """
    ordered = np.sort(values, axis=0)  # NaN comes last
    counts = np.count_nonzero(~np.isnan(ordered), axis=0)
    ranks = np.ceil(np.multiply.outer(np.asarray(shares), counts) - _ROUNDING).astype(np.intp) - 1
    quantiles: NDArray[np.float64] = np.take_along_axis(ordered, np.maximum(ranks, 0), axis=0)
    return quantiles


def median(values: ArrayLike | Sequence[float | None]) -> float | None:
    """Return the median of some numbers, as `order_quantiles` defines it; None: there are no numbers.

    Args:
        values: Numbers of any shape. None and NaN are ignored; infinity, such as the loss of a diverged run, is larger
            than all other numbers.
    """
    numbers: NDArray[np.float64] = np.asarray(values, dtype=np.float64).ravel()
    middle = float(order_quantiles(numbers, [0.5])[0]) if numbers.size else math.nan
    return None if math.isnan(middle) else middle
