"""The scalars of a batched run as TensorBoard events: columns, and constants that are shown with them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rnnbench.records import events
from rnnbench.records.board import Board


class ScalarEvents:
    """Makes the events of rows; the first event of a run with a tag also has the tag's description."""

    def __init__(self, columns: Sequence[str], board: Board, num_replicas: int) -> None:
        """Store the columns; all descriptions will be recorded, including those that an earlier process recorded.

        Args:
            columns: Names of the C columns.
            board: Tags and descriptions of the columns, and constants that are shown with them.
            num_replicas: Number of replicas R.
        """
        shown = [(index, one) for index, column in enumerate(columns) if (one := board.shown(column)) is not None]
        constants = [constant for constant in board.constants if constant.beside in columns]
        self._shown = [one for _, one in shown] + [constant.shown for constant in constants]
        self._sources = np.array([index for index, _ in shown] + [columns.index(one.beside) for one in constants], int)
        self._values = np.array([constant.value for constant in constants])
        self._is_all = len(shown) == len(columns) and not constants
        has_text = np.array([bool(one.description) for one in self._shown], bool)
        self._undescribed = np.repeat(has_text[:, None], num_replicas, 1)  # (shown, R)

    def events(
        self,
        update: int,
        wall_time: float,
        replicas: Sequence[int],
        table: NDArray[np.float64],
        present: NDArray[np.bool_],
    ) -> list[bytes]:
        """Return an event for each of n replicas, b"" if no column of it is shown.

        Args:
            update: Index of the update.
            wall_time: Now, in seconds since the epoch.
            replicas: Indices of the replicas.
            table: Numbers, shape (C, n).
            present: Whether each number is present, shape (C, n).
        """
        if not self._is_all:
            table, present = table[self._sources], present[self._sources]
            if len(self._values):
                table[-len(self._values) :] = self._values[:, None]
        described = None
        if self._undescribed.any():
            described = present & self._undescribed[:, replicas]
            self._undescribed[:, replicas] &= ~present
        return events.scalars(self._shown, update, wall_time, table, present, described)
