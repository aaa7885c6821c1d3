"""Notices replicas whose updates have stopped changing anything."""

from collections.abc import Mapping

STALLED_UPDATES = 10
"""Successive stalled updates after which the user is told."""


class Stalls:
    """Counts the successive stalled updates of each replica, to report them once per run."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._is_reported = False

    def add(self, stalled: Mapping[int, bool]) -> list[int]:
        """Count one update.

        Args:
            stalled: Whether the update of each active replica was stalled, by the index of the replica.

        Returns:
            The replicas to report; empty if there are none, or if some have been reported before.
        """
        self._counts = {index: self._counts.get(index, 0) + 1 for index, is_stalled in stalled.items() if is_stalled}
        found = [index for index, count in self._counts.items() if count >= STALLED_UPDATES]
        if self._is_reported or not found:
            return []
        self._is_reported = True
        return found
