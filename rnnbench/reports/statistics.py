"""Shares, medians and rank correlations with intervals, censored times, and quantiles of infinite values."""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Products of fractions are compared with shares: 3/4 * 2/3 must count as one half.
_ROUNDING = 1e-9


def wilson_interval(num_successes: int, num_trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Compute the Wilson score interval of a share.

    With p the share and z the normal quantile: (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n).
    Unlike p -+ z sqrt(p (1 - p) / n), it is valid for few trials and for shares of 0 and 1.

    Args:
        num_successes: Number of successes.
        num_trials: Number of trials n, at least one.
        confidence: Confidence level, between 0 and 1.

    Returns:
        Lower and upper bound, between 0 and 1.

    Raises:
        ValueError: There are no trials, or more successes than trials.

    Source: Wilson (1927), Journal of the American Statistical Association 22.
    """
    if not 0 <= num_successes <= num_trials or num_trials < 1:
        raise ValueError(f"expected 0 <= successes <= trials and a trial, got {num_successes} of {num_trials}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = num_successes / num_trials
    centre = share + z**2 / (2 * num_trials)
    half = z * math.sqrt(share * (1 - share) / num_trials + z**2 / (4 * num_trials**2))
    scale = 1 + z**2 / num_trials
    # For shares of 0 and 1 one bound is exact; rounding must not change it.
    low = 0.0 if num_successes == 0 else (centre - half) / scale
    high = 1.0 if num_successes == num_trials else (centre + half) / scale
    return low, high


def difference_interval(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """Compute the 95 % interval of the difference of two shares, first minus second.

    With p_i the shares and l_i .. u_i their Wilson intervals, it is p_1 - p_2 - sqrt((p_1 - l_1)^2 + (u_2 - p_2)^2) to
    p_1 - p_2 + sqrt((u_1 - p_1)^2 + (p_2 - l_2)^2). It can exclude 0 even if the two Wilson intervals overlap.

    Args:
        first: Successes and trials of the first share.
        second: Successes and trials of the second share.

    Source: Newcombe (1998), Statistics in Medicine 17, method 10.
    """
    (low, high), (other_low, other_high) = wilson_interval(*first), wilson_interval(*second)
    share, other = first[0] / first[1], second[0] / second[1]
    below = math.hypot(share - low, other_high - other)
    above = math.hypot(high - share, other - other_low)
    return share - other - below, share - other + above


@dataclass(frozen=True)
class NotYetSolved:
    """Kaplan-Meier estimate of the share of runs that are not yet solved.

    Attributes:
        times: Times at which runs were solved, ascending, (k,).
        shares: Share of runs not yet solved after each of these times, (k,).
        censored: Times at which unsolved runs ended, ascending, without infinite ones.
    """

    times: Array
    shares: Array
    censored: Array

    def share(self, time: float) -> float:
        """Return the share that is not solved by a time."""
        index = int(np.searchsorted(self.times, time, side="right"))
        return float(self.shares[index - 1]) if index else 1.0

    def time(self, share_solved: float) -> float | None:
        """Return the first time by which at least this share is solved; None: the share is not reached."""
        reached = np.flatnonzero(self.shares <= 1 - share_solved + _ROUNDING)
        return float(self.times[reached[0]]) if reached.size else None


def kaplan_meier(times: Sequence[float], solved: Sequence[bool]) -> NotYetSolved:
    """Estimate the share of runs that are not yet solved from censored times.

    The estimate is the product over the solution times t_j of 1 - d_j / n_j, where d_j runs were solved at t_j and n_j
    runs were neither solved nor censored before. Runs censored exactly at t_j are still included in n_j.

    Args:
        times: Time at which each run was solved or ended (censored); infinite: the run will never be solved.
        solved: Whether each run was solved at its time.

    Source: Kaplan and Meier (1958), Journal of the American Statistical Association 53.
    """
    all_times = np.asarray(times, dtype=np.float64)
    is_solved = np.asarray(solved, dtype=bool)
    events, counts = np.unique(all_times[is_solved], return_counts=True)
    at_risk = all_times.size - np.searchsorted(np.sort(all_times), events, side="left")
    censored = np.sort(all_times[~is_solved])
    shares: Array = np.cumprod(1 - counts / at_risk, dtype=np.float64)
    return NotYetSolved(events, shares, censored[np.isfinite(censored)])


def performance_profile(costs: Mapping[str, Sequence[float]]) -> dict[str, list[tuple[float, float]]]:
    """Compute the share of problems that a solver solves within a factor of the best solver's cost.

    Args:
        costs: Solver -> its cost on each of n problems; positive, infinite if it does not solve the problem.

    Returns:
        Solver -> the steps of its profile: factors, ascending, each with the share of problems within it. Problems that
        no solver solves count as not solved within any factor.

    Source: Dolan and Moré (2002), Mathematical Programming 91.
    """
    best = [min(each) for each in zip(*costs.values(), strict=True)]
    profile = {}
    for solver, own in costs.items():
        factors = sorted(cost / least for cost, least in zip(own, best, strict=True) if math.isfinite(cost))
        profile[solver] = [
            (factor, bisect.bisect_right(factors, factor) / len(own)) for factor in dict.fromkeys(factors)
        ]
    return profile


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Compute Spearman's rank correlation with its 95 % interval.

    The interval is computed for atanh r, whose variance is about (1 + r^2 / 2) / (n - 3), and transformed back. Tied
    values get the mean of their ranks.

    Args:
        first: n finite numbers.
        second: n finite numbers.

    Returns:
        The correlation and its bounds. The bounds are -1 and 1 for fewer than four pairs, or if all numbers of one
        sequence are equal.

    Source: Bonett and Wright (2000), Psychometrika 65.
    """
    ranks = [_ranks(np.asarray(values, dtype=np.float64)) for values in (first, second)]
    if len(first) < 4 or any(np.ptp(each) == 0 for each in ranks):
        return 0.0, (-1.0, 1.0)
    value = float(np.corrcoef(ranks[0], ranks[1])[0, 1])
    if abs(value) > 1 - _ROUNDING:
        return value, (value, value)
    half = NormalDist().inv_cdf(0.975) * math.sqrt((1 + value**2 / 2) / (len(first) - 3))
    return value, (math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half))


def _ranks(values: Array) -> Array:
    """Return the mean rank of each number, from 1."""
    below = (values[:, None] > values).sum(1)
    equal = (values[:, None] == values).sum(1)
    ranks: Array = below + (equal + 1) / 2
    return ranks


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, tuple[float, float]]:
    """Compute the median with a distribution-free interval between two of the values.

    The number of values below the median is binomial with probability 1/2. Let k be the largest number such that fewer
    than k values are below the median with probability at most (1 - confidence) / 2. The interval extends from the k-th
    smallest to the k-th largest value. It is unbounded if there is no such k (fewer than six values for 95 %).

    Args:
        values: Values, at least one; infinite ones are allowed.
        confidence: Confidence level, between 0 and 1.

    Source: Thompson (1936), Annals of Mathematical Statistics 7.
    """
    ordered, count = sorted(values), len(values)
    # Probability that at most `rank` values are below; the integers are divided exactly, since floats would overflow.
    below, rank = 1 / 2**count, 0
    while below <= (1 - confidence) / 2:
        rank += 1
        below += math.comb(count, rank) / 2**count
    median = float(np.median(ordered))
    return median, (-math.inf, math.inf) if rank == 0 else (ordered[rank - 1], ordered[count - rank])


def location_ratio(values: Sequence[float], base: Sequence[float]) -> tuple[float, float, float]:
    """Estimate the ratio of values to base values: the median of all pairwise ratios, with a 95 % interval.

    If both are equally distributed up to a factor, this is the Hodges-Lehmann estimate of the factor, and the interval
    follows from the exact distribution of the Mann-Whitney statistic. Ties make the interval conservative.

    Args:
        values: Positive numbers, at least one; infinity is allowed.
        base: Positive numbers, at least one; infinity is allowed.

    Returns:
        Estimate, lower and upper bound. With too few numbers for an interval, the bounds are 0 and infinity. The ratio
        of two infinite numbers counts as 1 in the estimate, as 0 in the lower and as infinity in the upper bound.

    Source: Hodges and Lehmann (1963), Annals of Mathematical Statistics 34.
    """
    pairs = [(value, other) for value in values for other in base]

    def ratios(of_two_infinite: float) -> Array:
        unknown = (math.isinf(value) and math.isinf(other) for value, other in pairs)
        quotients = [of_two_infinite if no else v / o for no, (v, o) in zip(unknown, pairs, strict=True)]
        return np.sort(np.array(quotients, dtype=np.float64))

    estimates = ratios(1.0)
    middle = len(pairs) // 2
    estimate = float(estimates[middle] if len(pairs) % 2 else np.sqrt(estimates[middle - 1] * estimates[middle]))
    shares = _rank_sum_shares(len(values), len(base))
    rank = int(np.searchsorted(np.cumsum(shares), 0.025 + _ROUNDING, side="right"))
    if rank == 0:
        return estimate, 0.0, math.inf
    return estimate, float(ratios(0.0)[rank - 1]), float(ratios(math.inf)[len(pairs) - rank])


def _rank_sum_shares(first: int, second: int) -> Array:
    """Return the probability of each value 0 .. first * second of the Mann-Whitney statistic."""
    # The counts are Gaussian binomial coefficients: partitions into at most `first` parts of at most `second`.
    counts = np.zeros((first + 1, first * second + 1))
    counts[0, 0] = 1
    for part in range(1, second + 1):
        for used in range(1, first + 1):
            counts[used, part:] += counts[used - 1, : first * second + 1 - part]
    ways: Array = counts.sum(0)
    shares: Array = ways / ways.sum()
    return shares
