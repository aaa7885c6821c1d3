import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.records.quantiles import median, order_quantiles


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.lists(st.sampled_from([0, 0.1, 0.25, 0.5, 0.9, 1]), min_size=1, max_size=4),
)
def test_order_quantiles_are_those_of_the_inverted_distribution(values, levels):
    values = np.array(values, dtype=np.float64)
    assert order_quantiles(values, levels).tolist() == np.quantile(values, levels, method="inverted_cdf").tolist()


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
