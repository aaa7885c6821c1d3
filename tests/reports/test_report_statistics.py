"""The statistics of reports: as published, and as scipy and statsmodels compute them."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.duration.survfunc import SurvfuncRight
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from rnnbench.reports.statistics import (
    difference_interval,
    kaplan_meier,
    location_ratio,
    median_interval,
    rank_correlation,
    wilson_interval,
)


# Newcombe (1998), Statistics in Medicine 17, table I, method 3
@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_as_published(successes, trials, low, high):
    assert wilson_interval(successes, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_bounds_are_where_the_score_test_stops_rejecting(case):
    successes, trials = case
    share, bounds = successes / trials, wilson_interval(successes, trials)
    assert 0 <= bounds[0] <= share <= bounds[1] <= 1
    for bound in bounds:
        if 0 < bound < 1:
            assert abs(share - bound) / math.sqrt(bound * (1 - bound) / trials) == pytest.approx(1.959964, abs=1e-5)
    mirrored = wilson_interval(trials - successes, trials)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx(bounds, abs=1e-12)


shares = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(shares, st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilson_interval_is_that_of_statsmodels(share, confidence):
    expected = proportion_confint(*share, alpha=1 - confidence, method="wilson")
    assert wilson_interval(*share, confidence) == pytest.approx(expected, abs=1e-9)


@given(shares, shares)
def test_difference_interval_is_that_of_statsmodels(first, second):
    expected = confint_proportions_2indep(*first, *second, method="newcomb", compare="diff")
    assert difference_interval(first, second) == pytest.approx(expected, abs=1e-9)


def test_wilson_needs_trials():
    for case in [(0, 0), (3, 2), (-1, 2)]:
        with pytest.raises(ValueError, match=f"{case[0]} of {case[1]}"):
            wilson_interval(*case)


# Newcombe (1998), Statistics in Medicine 17, table II, method 10
@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_difference_interval_as_published(first, second, low, high):
    assert difference_interval(first, second) == pytest.approx((low, high), abs=5e-5)
    assert difference_interval(second, first) == pytest.approx((-high, -low), abs=5e-5)


# Freireich et al. (1963): weeks of remission under 6-mercaptopurine; the estimate is that of Kalbfleisch and Prentice
REMISSION = [6, 6, 6, 6.5, 7, 9.5, 10, 10.5, 11.5, 13, 16, 17.5, 19.5, 20.5, 22, 23, 25.5, 32.5, 32.5, 34.5, 35.5]
RELAPSED = [6, 7, 10, 13, 16, 22, 23]


def test_kaplan_meier_as_published():
    curve = kaplan_meier(REMISSION, [time in RELAPSED for time in REMISSION])
    assert curve.times.tolist() == RELAPSED
    assert curve.shares == pytest.approx([0.8571, 0.8067, 0.7529, 0.6902, 0.6275, 0.5378, 0.4482], abs=5e-5)
    assert curve.time(0.5) == 23
    assert curve.time(0.25) == 13
    assert curve.time(0.75) is None
    assert curve.censored.tolist() == [time for time in REMISSION if time not in RELAPSED]


def test_a_run_cut_off_at_a_solution_time_counts_there():
    curve = kaplan_meier([5, 5], [True, False])
    assert curve.shares.tolist() == [0.5]


def test_a_run_that_diverged_is_never_solved():
    curve = kaplan_meier([1, math.inf, 3, 4], [True, False, True, False])
    assert curve.shares.tolist() == [0.75, 0.5]
    assert curve.censored.tolist() == [4]
    assert (curve.time(0.5), curve.time(0.51)) == (3, None)


def test_where_nothing_is_solved_no_time_is_reached():
    curve = kaplan_meier([3, 4], [False, False])
    assert (curve.share(10), curve.time(0.01)) == (1, None)


@given(st.lists(st.integers(1, 8), min_size=1, max_size=30))
def test_without_censoring_it_is_the_share_still_unsolved(times):
    curve = kaplan_meier(times, [True] * len(times))
    for at in range(10):
        assert curve.share(at) == pytest.approx(np.mean([time > at for time in times]), abs=1e-12)
    for share in (0.25, 0.5, 0.75):
        assert curve.time(share) == sorted(times)[math.ceil(share * len(times)) - 1]


@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=40))
def test_kaplan_meier_is_that_of_statsmodels(runs):
    times, solved = zip(*runs, strict=True)
    assume(any(solved))
    curve, expected = kaplan_meier(times, solved), SurvfuncRight(np.array(times), np.array(solved))
    assert curve.times.tolist() == expected.surv_times.tolist()
    assert curve.shares == pytest.approx(expected.surv_prob, abs=1e-12)


def test_rank_correlation_is_that_of_the_ranks():
    assert rank_correlation([1, 2, 3, 4, 5], [1, 10, 100, 1000, 10000]) == (pytest.approx(1), pytest.approx((1, 1)))
    value, (low, high) = rank_correlation([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 6, 5])
    assert value == pytest.approx(1 - 6 * 2 / (6 * 35))  # without ties: 1 - 6 sum d^2 / n (n^2 - 1)
    half = 1.959964 * math.sqrt((1 + value**2 / 2) / 3)
    assert (low, high) == pytest.approx((math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half)))
    assert rank_correlation([1, 1, 2, 2], [1, 1, 3, 3])[0] == pytest.approx(1)  # ties share their mean rank
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == rank_correlation([1, 1, 1, 1], [1, 2, 3, 4]) == (0, (-1, 1))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=4, max_size=30))
def test_rank_correlation_is_that_of_scipy(pairs):
    first, second = zip(*pairs, strict=True)
    assume(len({*first}) > 1 and len({*second}) > 1)
    assert rank_correlation(first, second)[0] == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-12)


def test_the_interval_of_a_rank_correlation_covers():
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        first = generator.standard_normal(40)
        low, high = rank_correlation(first.tolist(), generator.standard_normal(40).tolist())[1]
        covered += low <= 0 <= high
    assert 0.92 < covered / 400 < 0.98


@pytest.mark.parametrize("count", [6, 10, 15, 20, 50, 1000, 1100, 5000])  # 2^1100 is no floating-point number
def test_the_interval_of_a_median_lies_between_the_values_of_the_binomial_test(count):
    median, interval = median_interval([float(value) for value in range(count, 0, -1)])
    rank = stats.binom.ppf(0.025, count, 0.5)
    assert median == (count + 1) / 2
    assert interval == (rank, count + 1 - rank)


def test_a_median_of_few_values_is_not_bounded():
    assert median_interval([1.0, math.inf, 2.0]) == (2.0, (-math.inf, math.inf))


@settings(max_examples=10)
@given(st.integers(3, 8), st.integers(4, 8), st.integers(0, 2**32 - 1))
def test_the_interval_of_a_ratio_holds_what_mann_and_whitney_do_not_reject(num_values, num_base, seed):
    generator = np.random.default_rng(seed)
    values, base = generator.uniform(1, 9, num_values), generator.uniform(1, 9, num_base)
    estimate, low, high = location_ratio(values.tolist(), base.tolist())
    ratios = np.sort(np.divide.outer(values, base).ravel())
    assert math.log(estimate) == pytest.approx(np.median(np.log(ratios)))
    for factor in (ratios[:-1] + ratios[1:]) / 2:
        is_likely = stats.mannwhitneyu(values / factor, base, method="exact").pvalue > 0.05
        assert is_likely == (low < factor < high)


@given(
    st.lists(st.floats(0.1, 10), min_size=4, max_size=7),
    st.lists(st.floats(0.1, 10), min_size=4, max_size=7),
    st.floats(0.5, 2),
)
def test_laws_of_a_ratio(values, base, factor):
    estimate, low, high = location_ratio(values, base)
    assert low <= estimate <= high
    assert location_ratio(base, values) == pytest.approx((1 / estimate, 1 / high, 1 / low))
    assert location_ratio([factor * value for value in values], base) == pytest.approx(
        (factor * estimate, factor * low, factor * high)
    )


def test_infinite_numbers_in_a_ratio():
    infinite = math.inf
    assert location_ratio([2.0], [1.0]) == (2.0, 0.0, infinite)
    assert location_ratio([infinite] * 4, [1.0] * 4) == (infinite, infinite, infinite)
    assert location_ratio([infinite] * 4, [infinite] * 4) == (1.0, 0.0, infinite)
    assert location_ratio([2, 2, 2, infinite], [1, 1, 1, 1]) == (2.0, 2.0, infinite)
