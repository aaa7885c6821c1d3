import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rnnbench.records.quantiles import median, order_quantiles

LEVELS = st.lists(st.sampled_from([0, 0.1, 0.25, 0.5, 0.9, 1]), min_size=1, max_size=4)


@given(
    arrays(np.float64, (7, 3), elements=st.integers(0, 9) | st.sampled_from([math.inf, -math.inf, math.nan])), LEVELS
)
def test_order_quantiles_are_those_of_the_inverted_distribution_of_the_numbers(values, levels):
    for column, quantiles in zip(values.T, order_quantiles(values, levels).T, strict=True):
        numbers = column[~np.isnan(column)]
        expected = np.quantile(numbers, levels, method="inverted_cdf") if numbers.size else [math.nan] * len(levels)
        np.testing.assert_array_equal(quantiles, expected)


def test_order_quantiles():
    values = np.array([[4.0, 1.0], [math.inf, 2.0], [1.0, 3.0], [2.0, math.inf], [3.0, math.inf]])
    low, median, high = order_quantiles(values, [0.1, 0.5, 0.9])
    assert low.tolist() == [1, 1]
    assert median.tolist() == [3, 3]
    assert high.tolist() == [math.inf, math.inf]
    assert order_quantiles(values[:4], [0.5])[0].tolist() == [2, 2]


def test_a_median_is_one_of_the_numbers():
    assert median([1.0, math.nan, math.inf, 3.0]) == 3.0
    assert median([4.0, 1.0, 2.0, 3.0]) == 2.0
    assert median([1.0, math.inf, math.inf]) == math.inf
    assert median([None, 2.0]) == 2.0
    assert median(5) == 5.0
    assert median([]) is None
