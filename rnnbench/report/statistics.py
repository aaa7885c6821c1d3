"""Shares, medians and rank correlations with intervals, times with censoring, quantiles that may be infinite."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Products of fractions are compared with shares: 3/4 * 2/3 has to count as one half.
_ROUNDING = 1e-9


def wilson_interval(num_successes: int, num_trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a share.

    With p the share and z the normal quantile, (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n).
    Unlike p -+ z sqrt(p (1 - p) / n) it is right for few trials and for shares of 0 and 1.

    Args:
        num_successes: Successes.
        num_trials: Trials n, at least one.
        confidence: Between 0 and 1.

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
    # At 0 and 1 one bound is exact, and rounding must not move it.
    low = 0.0 if num_successes == 0 else (centre - half) / scale
    high = 1.0 if num_successes == num_trials else (centre + half) / scale
    return low, high


def difference_interval(first: tuple[int, int], second: tuple[int, int]) -> tuple[float, float]:
    """95 % interval of a share less another one.

    With p_i the shares and l_i .. u_i their Wilson intervals, it goes from p_1 - p_2 - sqrt((p_1 - l_1)^2 +
    (u_2 - p_2)^2) to p_1 - p_2 + sqrt((u_1 - p_1)^2 + (p_2 - l_2)^2). That is narrower than what two intervals that
    just touch would have it.

    Args:
        first: Successes and trials.
        second: Successes and trials of the share that is taken away.

    Source: Newcombe (1998), Statistics in Medicine 17, method 10.
    """
    (low, high), (other_low, other_high) = wilson_interval(*first), wilson_interval(*second)
    share, other = first[0] / first[1], second[0] / second[1]
    below = math.hypot(share - low, other_high - other)
    above = math.hypot(high - share, other - other_low)
    return share - other - below, share - other + above


@dataclass(frozen=True)
class NotYetSolved:
    """The Kaplan-Meier estimate of the share of runs that are not yet solved.

    Attributes:
        times: Where something was solved, ascending, (k,).
        shares: Not yet solved from there on, (k,).
        censored: Where the observation of runs ended that were not solved, ascending; infinite ones are left out.
    """

    times: Array
    shares: Array
    censored: Array

    def share(self, time: float) -> float:
        """The share that is not solved by a time."""
        index = int(np.searchsorted(self.times, time, side="right"))
        return float(self.shares[index - 1]) if index else 1.0

    def time(self, share_solved: float) -> float | None:
        """The first time by which at least this share is solved; None: it was not reached."""
        reached = np.flatnonzero(self.shares <= 1 - share_solved + _ROUNDING)
        return float(self.times[reached[0]]) if reached.size else None


def kaplan_meier(times: Sequence[float], solved: Sequence[bool]) -> NotYetSolved:
    """Estimate how many runs are not yet solved, from times that were cut off for some.

    The product over the solution times t_j of 1 - d_j / n_j: d_j runs solved there, n_j runs that were neither solved
    nor cut off before. What is cut off at a solution time still counts there.

    Args:
        times: When each run was solved or its observation ended; infinite: it is known that it will never be solved.
        solved: For each run, whether it was solved at its time (else it was last seen unsolved).

    Source: Kaplan and Meier (1958), Journal of the American Statistical Association 53.
    """
    all_times = np.asarray(times, dtype=np.float64)
    is_solved = np.asarray(solved, dtype=bool)
    events, counts = np.unique(all_times[is_solved], return_counts=True)
    at_risk = all_times.size - np.searchsorted(np.sort(all_times), events, side="left")
    censored = np.sort(all_times[~is_solved])
    shares: Array = np.cumprod(1 - counts / at_risk, dtype=np.float64)
    return NotYetSolved(events, shares, censored[np.isfinite(censored)])


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """Spearman's rank correlation with its 95 % interval.

    The interval is that of atanh r, whose variance is about (1 + r^2 / 2) / (n - 3), transformed back. Ties share the
    mean of their ranks.

    Args:
        first: Finite numbers, n of them.
        second: As many.

    Returns:
        The correlation, and its bounds: -1 and 1 for fewer than four pairs, or where all numbers of one are equal.

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
    """Mean rank of each number among all, from 1 on."""
    below = (values[:, None] > values).sum(1)
    equal = (values[:, None] == values).sum(1)
    ranks: Array = below + (equal + 1) / 2
    return ranks


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, tuple[float, float]]:
    """The median with an interval between two of the values, which supposes nothing of their distribution.

    The number of values below the median is binomial with probability 1/2. With k the largest number such that fewer
    than k are below it with probability at most (1 - confidence) / 2, the interval goes from the k-th value to the
    k-th from the end; it is unbounded where there are too few values for any k, that is fewer than six for 95 %.

    Args:
        values: At least one; infinite ones are allowed.
        confidence: Between 0 and 1.

    Source: Thompson (1936), Annals of Mathematical Statistics 7.
    """
    ordered, count = sorted(values), len(values)
    # The probability that at most `rank` values are below; whole numbers, too large for floating point, are divided.
    below, rank = 1 / 2**count, 0
    while below <= (1 - confidence) / 2:
        rank += 1
        below += math.comb(count, rank) / 2**count
    median = float(np.median(ordered))
    return median, (-math.inf, math.inf) if rank == 0 else (ordered[rank - 1], ordered[count - rank])


def location_ratio(values: Sequence[float], base: Sequence[float]) -> tuple[float, float, float]:
    """How many times as large values are as others: the median of all ratios, with a 95 % interval.

    If the values are distributed as the others times a factor, that is Hodges and Lehmann's estimate of the factor, and
    the interval follows from the exact distribution of Mann and Whitney's statistic. Ties make it wider than need be.

    Args:
        values: Positive, at least one; infinite ones are larger than all others.
        base: Likewise.

    Returns:
        Estimate, lower and upper bound; the bounds are 0 and infinite where there are too few numbers for an interval,
        and ratios of two infinite numbers count as 1, 0 and infinite.

    Source: Hodges and Lehmann (1963), Annals of Mathematical Statistics 34.
    """
    pairs = [(value, other) for value in values for other in base]

    def ratios(of_two_infinite: float) -> Array:
        unknown = (math.isinf(value) and math.isinf(other) for value, other in pairs)
        found = [of_two_infinite if no else v / o for no, (v, o) in zip(unknown, pairs, strict=True)]
        return np.sort(np.array(found, dtype=np.float64))

    estimates = ratios(1.0)
    middle = len(pairs) // 2
    estimate = float(estimates[middle] if len(pairs) % 2 else np.sqrt(estimates[middle - 1] * estimates[middle]))
    shares = _rank_sum_shares(len(values), len(base))
    left_out = int(np.searchsorted(np.cumsum(shares), 0.025 + _ROUNDING, side="right"))
    if left_out == 0:
        return estimate, 0.0, math.inf
    return estimate, float(ratios(0.0)[left_out - 1]), float(ratios(math.inf)[len(pairs) - left_out])


def _rank_sum_shares(first: int, second: int) -> Array:
    """Probability of each value 0 .. first * second of Mann and Whitney's statistic, (first * second + 1,)."""
    # The number of partitions into at most `first` parts of at most `second`: the Gaussian binomial coefficients.
    counts = np.zeros((first + 1, first * second + 1))
    counts[0, 0] = 1
    for part in range(1, second + 1):
        for used in range(1, first + 1):
            counts[used, part:] += counts[used - 1, : first * second + 1 - part]
    ways: Array = counts.sum(0)
    shares: Array = ways / ways.sum()
    return shares
