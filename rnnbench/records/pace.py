"""The pace at which the budgets of a run are used up, and the time that is left."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class _Mark:
    """The shares of the budgets that were used up at a time."""

    seconds: float
    shares: Sequence[float]


class Pace:
    """Estimates the time until the first of several budgets is used up.

    The pace is that of the last half to three quarters of the time: updates of Hessian-free become more expensive as a
    run proceeds, so the pace of the whole time is too fast.
    """

    def __init__(self) -> None:
        self._first: _Mark | None = None

    def add(self, seconds: float, shares: Sequence[float]) -> None:
        """Add a reading.

        Args:
            seconds: Time of the reading, on any clock.
            shares: Share of each budget that is used up, in the same order in each call.
        """
        mark = _Mark(seconds, shares)
        if self._first is None:
            self._first = self._since = self._next = mark
        elif seconds - self._first.seconds >= 2 * (self._next.seconds - self._first.seconds):
            self._since, self._next = self._next, mark
        self._last = mark

    def seconds_left(self) -> float | None:
        """Return the time that is left from the last reading on; None: it cannot be estimated yet."""
        if self._first is None:
            return None
        for since in (self._since, self._first):  # the latter if nothing has been used up for long
            times = [
                (1 - share) * (self._last.seconds - since.seconds) / (share - before)
                for before, share in zip(since.shares, self._last.shares, strict=True)
                if share > before
            ]
            if times:
                return max(min(times), 0.0)
        return None
