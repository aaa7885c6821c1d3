"""What updates use up, counted for each replica.

Letters: k active replicas of a run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnbench.optim.base import Update
from rnnbench.training.replica import Replica

COSTS = ("sequences", "products", "forward_passes", "backward_passes")
"""What an update uses up, as it, a replica and the tags cost/* name it."""


def costs_of(update: Update) -> dict[str, Tensor]:
    """What an update uses up, by the names in `COSTS`, (k,) each."""
    return {name: getattr(update, name) for name in COSTS}


def counted_columns(replicas: Sequence[Replica]) -> dict[str, Tensor]:
    """What some replicas have used up so far, as columns of a row of metrics, (k,) each, float64, on the CPU."""
    columns = {f"cost/{name}": [getattr(replica, name) for replica in replicas] for name in COSTS}
    columns["time/seconds"] = [replica.seconds for replica in replicas]
    return {name: torch.tensor(numbers, dtype=torch.float64) for name, numbers in columns.items()}


@dataclass(frozen=True)
class Counted:
    """What one update was counted as.

    Attributes:
        number: Of the update, from 1.
        seconds: Of training, after it.
        costs: For each of `COSTS`, of each active replica.
    """

    number: int
    seconds: float
    costs: Sequence[Sequence[float]]


class Counting:
    """Counts every update for the active replicas, and can take the last ones back for one that had diverged before.

    Attributes:
        open: The updates that can be taken back, in their order.
    """

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self.open: list[Counted] = []

    def add(self, replicas: Sequence[Replica], costs: Mapping[str, Tensor], number: int, seconds: float) -> None:
        """Count an update.

        Args:
            replicas: The active ones, k of them; changed.
            costs: Of the update, from `costs_of`.
            number: Of it, from 1.
            seconds: Of training so far.
        """
        numbers = torch.stack([costs[name] for name in COSTS]).tolist()
        self.open.append(Counted(number, seconds, numbers))
        for row, replica in enumerate(replicas):
            replica.updates, replica.seconds = number, seconds
            for name, cost in zip(COSTS, numbers, strict=True):
                setattr(replica, name, getattr(replica, name) + cost[row])

    def take_back(self, replica: Replica, row: int, number: int) -> None:
        """Count a replica as it was after one of the open updates: those that came later did not change it.

        Args:
            replica: The replica; changed.
            row: Its place among the active ones.
            number: Of the last update that counts, from 1.
        """
        for counted in self.open:
            if counted.number == number:
                replica.updates, replica.seconds = number, counted.seconds
            elif counted.number > number:
                for name, cost in zip(COSTS, counted.costs, strict=True):
                    setattr(replica, name, getattr(replica, name) - cost[row])

    def close(self) -> None:
        """Nothing that is counted will be taken back."""
        self.open.clear()
